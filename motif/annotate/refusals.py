"""What an engine or a server says it cannot do, with the way out."""

from __future__ import annotations

import re

INSTEAD = (
    "what works without it: a server (--backend openai --base-url URL --model NAME), or no "
    "language model at all (--annotator-type rules)"
)
NO_LOGPROBS = "no log-probabilities in the reply"
OTHER_LIMIT = re.compile(  # a server that calls the longest answer by its newer name alone
    r"max_tokens.{0,60}not supported|(?:use|try) .{0,3}max_completion_tokens", re.I | re.S
)
_FILTERED = re.compile(
    r"content[ _-]?(?:filter|management|policy|safety)|moderation|flagged|inappropriate"
    r"|safety (?:filter|system|polic)|data_inspection|responsible[ _]?ai|usage polic",
    re.I,
)
_TOO_LONG = re.compile(
    r"maximum context|context[ _](?:length|size|window)|model length|longer than|too many tokens"
    r"|prompt is too long|max_(?:completion_)?tokens.{0,40}(?:too large|must be|exceed|less than)",
    re.I | re.S,
)
_NO_CHAT = "take a model that was tuned for conversations, for it must have a chat template"
_NO_PREFILL = (
    "this server cannot go on from the beginning of an answer; use vLLM, or --answer-mode "
    "chain_of_thought"
)
_WAYS_OUT = (  # a pattern of refusals, and what to do then; the first that fits counts
    ("system.*role|role.*system", "this model takes no system turn; add --system-prompt False"),
    ("chat[ _]template", _NO_CHAT),
    ("continue_final_message|add_generation_prompt", _NO_PREFILL),
    (NO_LOGPROBS, "this server sends none; use another, or --answer-mode chain_of_thought"),
    (
        "log_?prob",
        "lower --top-logprobs (some servers give 5), or use --answer-mode chain_of_thought",
    ),
    (r"\btop_k\b", "add --top-k 0, and it is not sent"),
    (r"\btop_p\b", "add --top-p none, and it is not sent"),
    (r"\btemperature\b", "add --temperature none, and it is not sent (or --temperature 1)"),
    (r"\bseed\b", "leave --seed out, and none is sent"),
)


def explain_refusal(problem: str) -> str:
    """What an engine says it cannot do, with the way out."""
    advice = "labels so far are kept; the same command goes on from there"
    if is_too_long(problem):
        advice = "raise --max-model-len, or lower --max-new-tokens, or take a model with more room"
    elif _FILTERED.search(problem):
        advice = "its content filter stops these prompts: loosen it, or take another server"
    return f"the model did not answer: {problem}; {_way_out(problem) or advice}"


def is_too_long(problem: str) -> bool:
    """Whether an engine says that prompt and answer have no room."""
    return _TOO_LONG.search(problem) is not None


def is_about_prompt(status: int, problem: str) -> bool:
    """Whether a server refuses this prompt, and would take others."""
    if _FILTERED.search(problem) or is_too_long(problem):
        return status in (400, 403, 413, 422)
    return status in (400, 413) and not _way_out(problem)


def first_lines(error: BaseException, most: int = 400) -> str:
    """The beginning of an error's text, on one line; its kind if it has none."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def _way_out(problem: str) -> str | None:
    fitting = (advice for pattern, advice in _WAYS_OUT if re.search(pattern, problem, re.I))
    return next(fitting, None)

"""What an engine or a server says it cannot do, with the way out."""

from __future__ import annotations

import re

INSTEAD = (
    "what works without it: a server (--backend openai --base-url URL --model NAME), or no "
    "language model at all (--annotator-type rules)"
)
TOO_LONG = ("maximum context", "context length", "model length", "longer than", "max_tokens")
ROOM = "raise --max-model-len, or lower --max-new-tokens, or take a model with more room"
NO_CHAT = "take a model that was tuned for conversations, for it must have a chat template"
NO_PREFILL = (
    "this server cannot go on from the beginning of an answer; use vLLM, or --answer-mode "
    "chain_of_thought"
)
WAYS_OUT = (  # a pattern of refusals, and what to do then; the first that fits counts
    ("system.*role|role.*system", "this model takes no system turn; add --system-prompt False"),
    ("chat[ _]template", NO_CHAT),
    ("|".join(TOO_LONG), ROOM),
    ("continue_final_message|add_generation_prompt", NO_PREFILL),
)


def explain_refusal(problem: str) -> str:
    """What an engine says it cannot do, with the way out."""
    fitting = (way_out for pattern, way_out in WAYS_OUT if re.search(pattern, problem, re.I))
    advice = next(fitting, "labels so far are kept; the same command goes on from there")
    return f"the model did not answer: {problem}; {advice}"


def is_too_long(problem: str) -> bool:
    """Whether an engine says that prompt and answer have no room."""
    return any(words in problem.lower() for words in TOO_LONG)


def first_lines(error: BaseException, most: int = 400) -> str:
    """The beginning of an error's text, on one line; its kind if it has none."""
    return " ".join(str(error).split())[:most] or type(error).__name__

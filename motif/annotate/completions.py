"""What servers send as a chat completion, read leniently: fields may be missing, null or lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from motif.annotate.chat import Reply


class RubbishError(Exception):
    """A reply that is no chat completion; ``status`` is what it says it should have had."""

    def __init__(self, problem: str, status: int = 200) -> None:
        super().__init__(problem)
        self.status = status


def read_completion(tag: int, completion: Any, *, logprobs: bool) -> Reply:
    """The reply that ``completion``, decoded JSON, holds.

    Raises:
        RubbishError: it is none.
    """
    choices = completion.get("choices") if isinstance(completion, Mapping) else None
    if isinstance(completion, Mapping) and not choices:
        raise_error(completion.get("error"))
    if not (isinstance(choices, list) and choices and isinstance(choices[0], Mapping)):
        raise RubbishError("what it sends is no chat completion")
    choice = choices[0]
    raise_error(choice.get("error"))
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise RubbishError("what it sends is no chat completion")
    filtered = choice.get("finish_reason") == "content_filter"
    usage = completion.get("usage")
    return Reply(
        tag,
        "\n".join(filter(None, (_text(message.get("content")), _arguments(message)))),
        _number(usage, "prompt_tokens"),
        _number(usage, "completion_tokens"),
        _candidates(choice.get("logprobs")) if logprobs else (),
        cut=choice.get("finish_reason") == "length" and not logprobs,
        refused="content_filter" if filtered else "",
        thoughts=_text(message.get("reasoning_content") or message.get("reasoning")),
    )


def raise_error(error: Any, status: int = 200) -> None:
    """Raise the error that a server sends instead of an answer, if it does.

    Args:
        error: decoded JSON; one in front of others may send theirs inside its own.
        status: that it came with; HTTP 200 leaves it to the error's code.
    """
    while isinstance(error, Mapping) and isinstance(error.get("error"), Mapping):
        error = error["error"]
    if error:
        problem = error.get("message") or error if isinstance(error, Mapping) else error
        code = (error.get("code") or "") if isinstance(error, Mapping) else ""
        meant = int(code) if str(code).isdigit() and status == 200 else status
        raise RubbishError(f"an error with HTTP {status}: {code} {problem}"[:400], meant)


def _number(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return int(value) if isinstance(value, int | float) else 0


def _text(content: Any) -> str:
    """Content as text; it may come in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(_text, content))
    if isinstance(content, Mapping) and content.get("type", "text") in ("text", "output_text"):
        return _text(content.get("text"))
    return ""


def _arguments(message: Mapping[str, Any]) -> str:
    """What a model that answers by calling a tool calls it with."""
    calls = message.get("tool_calls") or ()
    functions = [call.get("function") for call in calls if isinstance(call, Mapping)]
    said = [
        function.get("arguments")
        for function in (*functions, message.get("function_call"))
        if isinstance(function, Mapping)
    ]
    return "\n".join(text if isinstance(text, str) else json.dumps(text) for text in said)


def _candidates(logprobs: Any) -> tuple[tuple[str, float], ...]:
    """The most likely first tokens, with log-probabilities; none if the server sent none."""
    try:
        return tuple(
            (str(top["token"]), float(top["logprob"]))
            for top in logprobs["content"][0]["top_logprobs"]
        )
    except (TypeError, KeyError, IndexError, ValueError):
        return ()

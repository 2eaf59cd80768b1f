"""A chat model that follows a script, for the annotation tests."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from motif.annotate.chat import Reply, Request

MANY_TEXTS = (*(f"You kill the monster number {i}!" for i in range(40)), "It's a wall.")
WORTH = ("descend", "kill", "gold", "see here")  # better to worse; everything else last


def prefer(first: str, second: str) -> str:
    """A deterministic judge: 1, 2 or None."""

    def rank(text: str) -> int:
        return next((i for i, word in enumerate(WORTH) if word in text), len(WORTH))

    if rank(first) == rank(second):
        return "None"
    return "1" if rank(first) < rank(second) else "2"


def captions_of(content: str) -> tuple[str, str]:
    """The two captions inside a shipped prompt."""
    blocks = re.findall(r'^\{\n"(?:description|message)_\d":\n(.*?)\n\}', content, re.S | re.M)
    return blocks[0], blocks[1]


def reasoned(first: str, second: str) -> str:
    return f'The first one … the second one …\n("best_description": {prefer(first, second)})'


class ScriptedChatModel:
    """Answers by ``script``; remembers each batch; at most ``at_once`` replies a call."""

    def __init__(
        self,
        script: Callable[[str, str], str] = reasoned,
        retry_script: Callable[[str, str], str] = reasoned,
        at_once: int | None = None,
    ) -> None:
        self.script, self.retry_script, self.at_once = script, retry_script, at_once
        self.max_model_len: int | None = 4096
        self.queue: list[Request] = []
        self.asked: list[Request] = []
        self.most_queued = 0
        self.collected: list[int] = []  # replies of each call
        self.closed = False

    def submit(self, requests: Sequence[Request]) -> None:
        self.queue.extend(requests)
        self.asked.extend(requests)
        self.most_queued = max(self.most_queued, len(self.queue))

    def collect(self) -> list[Reply]:
        batch, self.queue = (
            self.queue[: self.at_once],
            self.queue[len(self.queue[: self.at_once]) :],
        )
        self.collected.append(len(batch))
        return [self.answer(request) for request in batch]

    def answer(self, request: Request) -> Reply:
        users = [turn["content"] for turn in request.messages if turn["role"] == "user"]
        first, second = captions_of(users[0])
        if request.messages[-1]["role"] == "assistant":
            word = prefer(first, second)
            candidates = [(word, math.log(0.9)), ("1" if word != "1" else "2", math.log(0.1))]
            return Reply(request.tag, word, 10, 1, candidates)
        text = (self.script if len(users) == 1 else self.retry_script)(first, second)
        return Reply(request.tag, text, 10, 5)

    def close(self) -> None:
        self.closed = True

"""The two ways of asking: free reasoning with a second try, or one token's probabilities."""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from motif.annotate.answers import (
    AnswerParser,
    answer_masses,
    combine_orders,
    explain_low_mass,
    label_probabilities,
)
from motif.annotate.chat import Message, Reply
from motif.annotate.prompt import Prompt
from motif.annotate.refusals import NO_LOGPROBS
from motif.messages import printable
from motif.preference.labels import Preference
from motif.types import AnyArray

SHOWN = 200  # characters of an answer that is shown as an example
RETRY_REASONING = 4000  # most characters of an answer that the retry question quotes
NO_PROBABILITIES = np.full(4, np.nan, np.float32)


@dataclass
class Question:
    """What is asked about two captions, for all the pairs that share them."""

    key: bytes
    first: str
    second: str
    pairs: list[tuple[int, bool]]  # index in the dataset, whether its sides are the other way round
    turns: list[Message] = field(default_factory=list)  # so far, in the order of the captions
    masses: dict[bool, AnyArray] = field(default_factory=dict)  # direct: by order
    said: list[tuple[str, bool]] = field(default_factory=list)  # replies; whether they were cut
    tokens: int = 0  # written
    tokens_read: int = 0
    refused: str = ""  # why there is no answer


class Mode(Protocol):
    """A way of asking; its answers are JSON, so that they can be cached."""

    orders: tuple[bool, ...]  # each: whether the sides are swapped; both: labels are symmetric

    def open(self, question: Question, swapped: bool) -> list[Message]:
        """The conversation that asks ``question`` in one of the orders."""

    def hear(
        self, question: Question, reply: Reply, swapped: bool, length: int | None
    ) -> list[Message] | None:
        """Take a reply in; the conversation to go on with, if more must be asked.

        Args:
            length: tokens that prompt and answer may have together, where known.
        """

    def answer(self, question: Question) -> Any | None:
        """What the replies amount to; None while one is missing."""

    def no_decision(self, reply: Reply) -> str:
        """What none of the first answers does, with ``reply`` as an example, and what to do."""

    def why_unknown(self) -> str:
        """Why answers that were read stay without a label, if it is not for want of an answer."""
        return ""

    def read(self, answer: Any) -> tuple[Preference, AnyArray] | None:
        """The label, probabilities and lean (4,) of an answer; None for what is none, or undecided.

        A cache's files may be damaged, and anybody may add lines to them.
        """


class ChainOfThought(Mode):
    """The model reasons freely; where no decision is found, it is asked for it once more."""

    orders = (False,)

    def __init__(self, prompt: Prompt) -> None:
        self._prompt, self._parse = prompt, AnswerParser(prompt)

    def open(self, question: Question, swapped: bool) -> list[Message]:
        """The prompt's opening turns."""
        question.turns = self._prompt.conversation(question.first, question.second)
        return question.turns

    def hear(
        self, question: Question, reply: Reply, swapped: bool, length: int | None
    ) -> list[Message] | None:
        """The retry question, if ``reply`` is the first and holds no decision."""
        asked = question.turns
        said = f"(refused: {reply.refused})" if reply.refused else reply.text
        question.turns = [*asked, Message(role="assistant", content=said)]
        question.refused = reply.refused
        question.said.append((reply.text, reply.cut))
        if (
            reply.refused
            or len(question.said) > 1
            or self._decision(reply.text, reply.cut) is not None
        ):
            return None
        most = RETRY_REASONING
        if length is not None:  # a token is at least one character of English text
            most = min(most, max(length - sum(len(turn["content"]) for turn in asked), 200))
        quoted = reply.text.strip()[-most:] or "(no answer)"
        question.turns = [
            *asked,
            Message(role="assistant", content=quoted),
            Message(role="user", content=self._prompt.retry),
        ]
        return question.turns

    def no_decision(self, reply: Reply) -> str:
        """No decision was found, be it for lack of an answer, of room, or of a fitting pattern."""
        shown = repr(printable(reply.text[-SHOWN:].strip()))
        if reply.thoughts and not reply.text:
            return (
                f"says anything: the last one is '' beside {len(reply.thoughts)} characters of "
                "reasoning (reasoning_content); the model thinks until its room is full: raise "
                '--max-new-tokens, or turn thinking off (--extra-body \'{"chat_template_kwargs": '
                '{"enable_thinking": false}}\')'
            )
        if reply.cut:
            return (
                f"comes to its end; the last one stops with: {shown}; raise --max-new-tokens (and "
                "the server's own limit), or take a model that thinks less"
            )
        return (
            f"holds a decision that the prompt's answer_pattern finds; the last one ends with: "
            f"{shown}; see what the model is asked (--show-prompt 0), and take another model or "
            "your own --prompt-file; what was answered is kept, and read again with that pattern"
        )

    def answer(self, question: Question) -> str:
        """All that was said, compressed: a better parser may read it again."""
        return _pack(question.said)

    def read(self, answer: Any) -> tuple[Preference, AnyArray] | None:
        """The decision in what was said; earlier versions kept the label alone."""
        if isinstance(answer, str):
            labels = [self._decision(text, cut) for text, cut in _unpack(answer)]
            answer = next((label for label in labels if label is not None), None)
        known = answer in (Preference.FIRST, Preference.SECOND, Preference.TIE)
        return (Preference(answer), NO_PROBABILITIES) if known else None

    def _decision(self, text: str, cut: bool) -> Preference | None:
        return None if cut else self._parse(text)


def _pack(said: list[tuple[str, bool]]) -> str:
    return base64.b85encode(zlib.compress(json.dumps(said).encode(), 9)).decode()


def _unpack(packed: str) -> list[tuple[str, bool]]:
    """What :func:`_pack` packed; nothing of what is damaged."""
    try:
        said = json.loads(zlib.decompress(base64.b85decode(packed)))
        return [(str(text), bool(cut)) for text, cut in said]
    except (ValueError, TypeError, zlib.error):
        return []


class Direct(Mode):
    """Both orders are asked for one token; probabilities of first, second, tie and their mass."""

    orders = (False, True)

    def __init__(self, prompt: Prompt, *, tie_margin: float, min_mass: float) -> None:
        self._prompt, self._tie_margin, self._min_mass = prompt, tie_margin, min_mass
        self._low: list[float] = []  # masses that are too small for a label

    def open(self, question: Question, swapped: bool) -> list[Message]:
        """The prompt's opening turns, and the beginning of the answer."""
        sides = (question.first, question.second)
        turns = self._prompt.conversation(*(sides[::-1] if swapped else sides))
        turns.append(Message(role="assistant", content=self._prompt.direct_prefill))
        if not swapped:
            question.turns = turns
        return turns

    def hear(
        self, question: Question, reply: Reply, swapped: bool, length: int | None
    ) -> list[Message] | None:
        """Nothing more is asked."""
        question.masses[swapped] = answer_masses(reply.first_token)
        missing = "" if reply.first_token else NO_LOGPROBS
        question.refused = question.refused or reply.refused or missing
        return None

    def no_decision(self, reply: Reply) -> str:
        """The next token is none of the three."""
        seen = ", ".join(repr(printable(text)) for text, _ in reply.first_token[:5]) or "nothing"
        return (
            f"began with 1, 2 or None (the last one's candidates: {seen}): this server does not "
            "continue the answer it is given (continue_final_message); use vLLM, or --answer-mode "
            "chain_of_thought; where the candidates are right but unlikely, lower --min-mass"
        )

    def answer(self, question: Question) -> list[list[float]] | None:
        """Probability of the answers 1, 2, None in each order, once both are in."""
        if len(question.masses) < 2:
            return None
        probabilities, mass = combine_orders(question.masses[False], question.masses[True])
        *opening, prefill = question.turns
        told = (
            f"{prefill['content']}\nprobabilities of 1, 2, None in both orders: "
            f"{probabilities[:3].round(4).tolist()}, covered mass {mass:.4f}"
        )
        question.turns = [*opening, Message(role="assistant", content=told)]
        return [question.masses[swapped].tolist() for swapped in self.orders]

    def read(self, answer: Any) -> tuple[Preference, AnyArray] | None:
        """The label that the masses stand for; earlier versions kept their average alone."""
        if _are_shares(answer, 4):
            probabilities, mass = np.array([*answer[:3], np.nan]), answer[3]
        elif isinstance(answer, list) and [_are_shares(order, 3) for order in answer] == [True] * 2:
            probabilities, mass = combine_orders(*map(np.array, answer))
        else:
            return None
        if mass < self._min_mass:
            self._low.append(mass)
        margins = {"tie_margin": self._tie_margin, "min_mass": self._min_mass}
        return label_probabilities(probabilities, mass, **margins), probabilities.astype(np.float32)

    def why_unknown(self) -> str:
        """Too little probability is on the answers that were asked for."""
        return explain_low_mass(self._low, self._min_mass) if self._low else ""


def _are_shares(answer: Any, count: int) -> bool:
    return (
        isinstance(answer, list)
        and len(answer) == count
        and all(isinstance(share, float) and 0 <= share < math.inf for share in answer)
    )

"""The language model as annotator: which pairs to ask about, once each, many at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from motif.annotate.annotator import Annotator, Answers
from motif.annotate.cache import AnswerCache, answer_key
from motif.annotate.captions import Captioned, captioned_pairs
from motif.annotate.chat import (
    ChatModel,
    Message,
    ModelError,
    OpenRequestsError,
    Reply,
    Request,
)
from motif.annotate.misses import Misses
from motif.annotate.modes import NO_PROBABILITIES, ChainOfThought, Direct, Mode, Question
from motif.annotate.prompt import Prompt
from motif.annotate.refusals import explain_refusal
from motif.messages import printable
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference
from motif.types import AnyArray, IndexArray

BLOCK = 4096  # labels handed on at once
PAIRS_PER_PROMPT = 8  # at most so many are read ahead for each prompt that may be under way
TIE_PROBABILITIES = np.array([0.0, 0.0, 1.0, np.nan])
MIRRORED = (Preference.SECOND, Preference.FIRST, Preference.TIE, Preference.UNKNOWN)


@dataclass(frozen=True)
class AskingOptions:
    """How pairs become questions, and answers labels."""

    use_messages: bool = True
    use_blstats: bool = False
    direct: bool = False
    tie_margin: float = 0.1
    min_mass: float = 0.5
    dedupe: bool = True
    window: int = 8192  # prompts under way at once

    @property
    def keys(self) -> tuple[str, ...]:
        """The dataset's arrays that captions are made of."""
        return ("message", "blstats") if self.use_blstats else ("message",)

    def mode(self, prompt: Prompt) -> Mode:
        """The way of asking."""
        if self.direct:
            return Direct(prompt, tie_margin=self.tie_margin, min_mass=self.min_mass)
        return ChainOfThought(prompt)

    def captioned(self, pairs: PairsDataset, indices: IndexArray) -> Iterator[Captioned]:
        """The pairs ``indices`` as the model would read them."""
        return captioned_pairs(
            pairs, indices, use_messages=self.use_messages, use_blstats=self.use_blstats
        )

    def question(self, pair: Captioned) -> Question:
        """What to ask about ``pair``; where both orders are asked, one question serves either."""
        turned = self.direct and pair.first > pair.second
        first, second = (pair.second, pair.first) if turned else (pair.first, pair.second)
        own = () if self.dedupe else (str(pair.pair),)
        return Question(answer_key(first, second, *own), first, second, [(pair.pair, turned)])


@dataclass
class _Settled:
    """Labels that wait to be handed on."""

    rows: list[tuple[int, Preference, AnyArray]] = field(default_factory=list)
    tokens: int = 0
    tokens_read: int = 0
    refused: dict[str, list[int]] = field(default_factory=dict)

    def take(self) -> Answers:
        indices = np.array([row[0] for row in self.rows], dtype=np.int64)
        labels = np.array([row[1] for row in self.rows], dtype=np.int8)
        probabilities = np.array([row[2] for row in self.rows], dtype=np.float32).reshape(-1, 4)
        told = (self.tokens, self.tokens_read, self.refused)
        self.rows, self.tokens, self.tokens_read, self.refused = [], 0, 0, {}
        return Answers(indices, labels, probabilities, *told)


class LanguageModelAnnotator(Annotator):
    """Prefers what a chat model prefers.

    Args:
        source: what the labels depend on, apart from the dataset; kept as provenance.
        make_model: loads the model; called when there is a question that no cache answers. None:
            nobody is asked.
        cache: answers of earlier runs, and of this one.
        logdir: where to write whole conversations, one file a pair; a pair that another's question
            answers has a line that says which.
    """

    def __init__(
        self,
        prompt: Prompt,
        make_model: Callable[[], ChatModel] | None,
        cache: AnswerCache,
        *,
        source: Mapping[str, Any],
        options: AskingOptions,
        logdir: Path | None = None,
    ) -> None:
        self.cache, self.source, self.options, self.logdir = cache, source, options, logdir
        self.keys = options.keys
        self.keeps_probabilities = options.direct
        self._mode = options.mode(prompt)
        self._make_model = make_model
        self._model: ChatModel | None = None
        self._waiting: dict[bytes, Question] = {}
        self._under_way: dict[int, tuple[Question, Request]] = {}  # by tag
        self._next_tag = 0
        self._misses = Misses()
        self._left_open = 0  # pairs

    def annotate(self, pairs: PairsDataset, indices: IndexArray) -> Iterator[Answers]:
        """Label the pairs ``indices``, with a window of prompts under way.

        Whenever replies come, second questions are asked at once, and new ones fill the window.

        Raises:
            ModelError: the model cannot be loaded, or cannot go on.
            OpenRequestsError: all is labelled but what the model leaves open.
        """
        captioned = self.options.captioned(pairs, indices)
        settled = _Settled()
        try:
            while True:
                exhausted = yield from self._fill(captioned, settled)
                if not self._waiting:
                    if not exhausted:
                        continue
                    if self._left_open:
                        raise OpenRequestsError(f"{self._left_open:,} pairs wait for answers")
                    if self._misses.refusal and not len(self.cache):  # nobody ever got an answer
                        raise ModelError(explain_refusal(self._misses.refusal))
                    return
                model = self._loaded_model()
                for reply in model.collect():
                    self._settle(reply, model, settled)
                self.cache.flush()
                if settled.rows:
                    yield settled.take()
        finally:
            if not self.keep_open:
                self.close()

    def open(self) -> None:
        """Load the model, or connect to its server."""
        if self._make_model is not None:
            self._loaded_model()

    def why_unknown(self) -> str:
        """What becomes of the pairs that are unknown, and what to do."""
        return self._mode.why_unknown() or super().why_unknown()

    def close(self) -> None:
        """Free the model and the cache."""
        if self._model is not None:
            self._model.close()
            self._model = None
        self.cache.close()

    def _fill(
        self, captioned: Iterator[Captioned], settled: _Settled
    ) -> Generator[Answers, None, bool]:
        """Ask about new pairs until the window is full; the value says whether none are left."""
        room = self._misses.room(self.options.window // len(self._mode.orders) or 1)
        for _ in range(PAIRS_PER_PROMPT * self.options.window):
            if len(self._waiting) >= room:
                return False
            pair = next(captioned, None)
            if pair is None:
                if settled.rows:
                    yield settled.take()
                return True
            self._take(pair, settled)
            if len(settled.rows) >= BLOCK:
                yield settled.take()
        return False

    def _take(self, pair: Captioned, settled: _Settled) -> None:
        """Label a pair at once, join it to a question under way, or ask."""
        if pair.first == pair.second:
            settled.rows.append((pair.pair, Preference.TIE, TIE_PROBABILITIES))
            return
        question = self.options.question(pair)
        if question.key in self._waiting:
            self._waiting[question.key].pairs += question.pairs
            return
        known = self._mode.read(self.cache.get(question.key))
        if known is not None:
            self._label(question, known, settled)
            return
        if self._make_model is None:
            self._left_open += 1
            return
        self._waiting[question.key] = question
        for swapped in self._mode.orders:
            self._ask(question, self._mode.open(question, swapped), swapped)

    def _ask(self, question: Question, turns: list[Message], swapped: bool) -> None:
        request = Request(self._next_tag, turns, swapped)
        self._under_way[request.tag] = question, request
        self._next_tag += 1
        self._loaded_model().submit([request])

    def _loaded_model(self) -> ChatModel:
        if self._model is None and self._make_model is not None:
            started = time.perf_counter()
            self._model = self._make_model()
            self.seconds_to_load += time.perf_counter() - started
            self.served = getattr(self._model, "served", {})
        assert self._model is not None
        return self._model

    def _settle(self, reply: Reply, model: ChatModel, settled: _Settled) -> None:
        question, request = self._under_way.pop(reply.tag)
        if self._waiting.get(question.key) is not question:  # given up: its other order is open
            return
        if reply.left_open:
            self._left_open += len(question.pairs)
            self._misses.refused("")
            del self._waiting[question.key]
            return
        question.tokens += reply.new_tokens
        question.tokens_read += reply.prompt_tokens
        more = self._mode.hear(question, reply, request.swapped, model.max_model_len)
        self._misses.refused(question.refused)
        if more is not None:
            self._ask(question, more, request.swapped)
            return
        answer = self._mode.answer(question)
        if answer is None:
            return
        settled.tokens += question.tokens
        settled.tokens_read += question.tokens_read
        known = None
        if question.refused:
            pairs = [index for index, _ in question.pairs]
            settled.refused.setdefault(question.refused, []).extend(pairs)
        else:
            self.cache.put(question.key, answer)
            known = self._mode.read(answer)
        self._label(question, known, settled)
        del self._waiting[question.key]
        self._log(question)
        if question.refused:
            return
        decided = known is not None and known[0] != Preference.UNKNOWN
        self._misses.decided(decided, lambda: self._mode.no_decision(reply))

    def _label(
        self, question: Question, known: tuple[Preference, AnyArray] | None, settled: _Settled
    ) -> None:
        label, probabilities = known or (Preference.UNKNOWN, NO_PROBABILITIES)
        for index, turned in question.pairs:
            if turned:
                settled.rows.append((index, MIRRORED[label], probabilities[[1, 0, 2, 3]]))
            else:
                settled.rows.append((index, label, probabilities))

    def _log(self, question: Question) -> None:
        if self.logdir is None:
            return
        self.logdir.mkdir(parents=True, exist_ok=True)
        (asked, _), *same = question.pairs
        texts = {asked: show_turns(question.turns)}
        texts |= {i: f"the same question as pair {asked}: see {asked}.txt\n" for i, _ in same}
        for index, text in texts.items():
            (self.logdir / f"{index}.txt").write_text(text, encoding="utf-8")


def show_turns(turns: list[Message]) -> str:
    """A conversation as text, safe for a terminal."""
    return "".join(f"--- {turn['role']} ---\n{printable(turn['content'])}\n" for turn in turns)

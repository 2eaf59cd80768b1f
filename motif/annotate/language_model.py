"""The language model as annotator: which pairs to ask about, once each, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from motif.annotate.annotator import Answers
from motif.annotate.answers import (
    AnswerParser,
    answer_masses,
    combine_orders,
    label_probabilities,
)
from motif.annotate.cache import AnswerCache, answer_key
from motif.annotate.captions import caption, status_caption
from motif.annotate.chat import ChatModel, Message, ModelError, Reply, Request
from motif.annotate.prompt import Prompt
from motif.messages import printable
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference
from motif.types import AnyArray, IndexArray

BLOCK = 4096  # pairs read, or labels handed on, at once
PAIRS_PER_PROMPT = 8  # at most so many are read ahead for each prompt that may be under way
TIE_PROBABILITIES = (0.0, 0.0, 1.0)
RETRY_REASONING = 4000  # most characters of an answer that the retry question quotes
MASS_CHECK = 64  # direct answers after which a server that never continues the prefill is caught


class Captioned(NamedTuple):
    """A pair of the dataset as the model would read it."""

    pair: int
    first: str
    second: str


@dataclass
class Question:
    """One prompt under way, for all the pairs that share its captions."""

    key: bytes
    first: str
    second: str
    pairs: list[tuple[int, bool]]  # index in the dataset, whether its sides are the other way round
    turns: list[Message]
    masses: dict[bool, AnyArray] = field(default_factory=dict)  # direct: by order
    asked: int = 1
    tokens: int = 0


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


class _Settled:
    """Labels that wait to be handed on."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Preference, AnyArray | tuple[float, float, float]]] = []
        self.tokens = 0

    def take(self) -> Answers:
        indices = np.array([row[0] for row in self.rows], dtype=np.int64)
        labels = np.array([row[1] for row in self.rows], dtype=np.int8)
        probabilities = np.array([row[2] for row in self.rows], dtype=np.float32).reshape(-1, 3)
        answers = Answers(indices, labels, probabilities, self.tokens)
        self.rows, self.tokens = [], 0
        return answers


def captioned_pairs(
    pairs: PairsDataset,
    indices: IndexArray,
    *,
    use_messages: bool = True,
    use_blstats: bool = False,
) -> Iterator[Captioned]:
    """The pairs ``indices`` with their captions, in blocks, in constant memory."""
    for start in range(0, len(indices), BLOCK):
        block = indices[start : start + BLOCK]
        # Mapped anew for each block: pages of a mapping that is gone do not count as memory used.
        messages_BPTC = pairs.mapped_anew("message")[block]
        blstats_BPT = pairs.mapped_anew("blstats")[block] if use_blstats else None
        for row, index in enumerate(block.tolist()):
            if blstats_BPT is None:
                sides = [caption(messages_BPTC[row, side]) for side in range(2)]
            elif use_messages:
                sides = [caption(messages_BPTC[row, s], blstats_BPT[row, s]) for s in range(2)]
            else:
                sides = [status_caption(blstats_BPT[row, side]) for side in range(2)]
            yield Captioned(index, *sides)


class LanguageModelAnnotator:
    """Prefers what a chat model prefers.

    Args:
        source: what the labels depend on, apart from the dataset; kept as provenance.
        make_model: loads the model; called when there is a question that no cache answers.
        cache: answers of earlier runs, and of this one.
        logdir: where to write whole conversations, one file a pair; a pair that another's question
            answers has a line that says which.
    """

    def __init__(
        self,
        prompt: Prompt,
        make_model: Callable[[], ChatModel],
        cache: AnswerCache,
        *,
        source: Mapping[str, Any],
        options: AskingOptions,
        logdir: Path | None = None,
    ) -> None:
        self.prompt, self.cache, self.source, self.options = prompt, cache, source, options
        self.logdir = logdir
        self._make_model = make_model
        self._model: ChatModel | None = None
        self._parse = AnswerParser(prompt)
        self._waiting: dict[bytes, Question] = {}
        self._questions: dict[int, Question] = {}  # by tag
        self._next_tag = 0
        self._direct_replies, self._direct_mass = 0, 0.0

    @property
    def keys(self) -> tuple[str, ...]:
        """The dataset's arrays that it reads."""
        return ("message", "blstats") if self.options.use_blstats else ("message",)

    def annotate(self, pairs: PairsDataset, indices: IndexArray) -> Iterator[Answers]:
        """Label the pairs ``indices``, with a window of prompts under way.

        Whenever replies come, second questions are asked at once, and new ones fill the window.

        Raises:
            ModelError: the model cannot be loaded, or cannot go on.
        """
        captioned = captioned_pairs(
            pairs,
            indices,
            use_messages=self.options.use_messages,
            use_blstats=self.options.use_blstats,
        )
        settled = _Settled()
        try:
            while True:
                exhausted = yield from self._fill(captioned, settled)
                if not self._waiting:
                    if exhausted:
                        return
                    continue
                for reply in self._loaded_model().collect():
                    self._settle(reply, settled)
                self.cache.flush()
                if settled.rows:
                    yield settled.take()
        finally:
            self.close()

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
        room = self.options.window // (2 if self.options.direct else 1) or 1
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
        # Direct answers are symmetric, both orders being asked: one question serves either.
        turned = self.options.direct and pair.first > pair.second
        first, second = (pair.second, pair.first) if turned else (pair.first, pair.second)
        own = () if self.options.dedupe else (str(pair.pair),)
        key = answer_key(first, second, *own)
        question = self._waiting.get(key)
        if question is not None:
            question.pairs.append((pair.pair, turned))
            return
        known = self.cache.get(key)
        if known is not None and self._can_be_label(known):
            self._label(known, [(pair.pair, turned)], settled)
            return
        turns = self.prompt.conversation(first, second)
        question = Question(key, first, second, [(pair.pair, turned)], turns)
        self._waiting[key] = question
        self._ask(question)

    def _can_be_label(self, answer: Any) -> bool:
        """Whether a cache's answer is one; its files may be damaged, and anybody may add lines."""
        if not self.options.direct:
            return answer in (Preference.FIRST, Preference.SECOND, Preference.TIE)
        return (
            isinstance(answer, list)
            and len(answer) == 4
            and all(isinstance(share, float) and not share < 0 for share in answer)
        )

    def _ask(self, question: Question) -> None:
        conversations = [question.turns]
        if self.options.direct:
            prefill = Message(role="assistant", content=self.prompt.direct_prefill)
            swapped = self.prompt.conversation(question.second, question.first)
            conversations = [[*question.turns, prefill], [*swapped, prefill]]
        requests = []
        for turns in conversations:
            requests.append(Request(self._next_tag, turns))
            self._questions[self._next_tag] = question
            self._next_tag += 1
        self._loaded_model().submit(requests)

    def _loaded_model(self) -> ChatModel:
        if self._model is None:
            self._model = self._make_model()
        return self._model

    def _settle(self, reply: Reply, settled: _Settled) -> None:
        question = self._questions.pop(reply.tag)
        question.tokens += reply.new_tokens
        settle = self._settle_direct if self.options.direct else self._settle_reasoned
        answer: Any = settle(question, reply)
        if answer is None:
            return
        if answer != Preference.UNKNOWN:
            self.cache.put(question.key, answer)
        self._label(answer, question.pairs, settled)
        settled.tokens += question.tokens
        del self._waiting[question.key]
        self._log(question)

    def _settle_reasoned(self, question: Question, reply: Reply) -> int | None:
        """The label; UNKNOWN after a retry in vain; None if the retry was just asked."""
        question.turns = [*question.turns, Message(role="assistant", content=reply.text)]
        label = self._parse(reply.text)
        if label is not None:
            return int(label)
        if question.asked > 1:
            return int(Preference.UNKNOWN)
        question.asked += 1
        quoted = self._shortened(question.turns)
        question.turns = [*quoted, Message(role="user", content=self.prompt.retry)]
        self._ask(question)
        return None

    def _shortened(self, turns: list[Message]) -> list[Message]:
        """Keep the answer's end only, so that the retry question fits the model's length."""
        most = RETRY_REASONING
        length = self._loaded_model().max_model_len
        if length is not None:  # a token is at least one character of English text
            most = min(most, max(length - sum(len(turn["content"]) for turn in turns[:-1]), 200))
        answer = turns[-1]["content"].strip()[-most:]
        return [*turns[:-1], Message(role="assistant", content=answer or "(no answer)")]

    def _settle_direct(self, question: Question, reply: Reply) -> list[float] | None:
        """Probabilities of first, second, tie, and the covered mass, once both orders are in."""
        masses = answer_masses(reply.first_token)
        swapped = reply.tag % 2 == 1  # the orders are asked in turn: even tags, odd tags
        question.masses[swapped] = masses
        self._check_prefill(float(masses.sum()))
        if len(question.masses) < 2:
            return None
        probabilities, mass = combine_orders(question.masses[False], question.masses[True])
        question.turns = [
            *question.turns,
            Message(
                role="assistant",
                content=f"{self.prompt.direct_prefill}\n"
                f"probabilities of 1, 2, None in both orders: {probabilities.round(4).tolist()}, "
                f"covered mass {mass:.4f}",
            ),
        ]
        return [*map(float, np.nan_to_num(probabilities)), mass]

    def _check_prefill(self, mass: float) -> None:
        self._direct_replies += 1
        self._direct_mass += mass
        if self._direct_replies == MASS_CHECK and self._direct_mass < 0.01 * MASS_CHECK:
            raise ModelError(
                f"none of the first {MASS_CHECK} answers began with 1, 2 or None: this server "
                "does not continue the answer it is given (continue_final_message); use vLLM, or "
                "--answer-mode chain_of_thought"
            )

    def _label(self, answer: Any, pairs: list[tuple[int, bool]], settled: _Settled) -> None:
        for index, turned in pairs:
            if not self.options.direct:
                label = Preference(answer)
                settled.rows.append((index, label, (np.nan, np.nan, np.nan)))
                continue
            probabilities, mass = np.array(answer[:3]), answer[3]
            if turned:
                probabilities = probabilities[[1, 0, 2]]
            label = label_probabilities(
                probabilities,
                mass,
                tie_margin=self.options.tie_margin,
                min_mass=self.options.min_mass,
            )
            settled.rows.append((index, label, probabilities))

    def _log(self, question: Question) -> None:
        asked, *same = (index for index, _ in question.pairs)
        self._log_text(asked, show_turns(question.turns))
        for index in same:
            self._log_text(index, f"the same question as pair {asked}: see {asked}.txt\n")

    def _log_text(self, pair: int, text: str) -> None:
        if self.logdir is not None:
            self.logdir.mkdir(parents=True, exist_ok=True)
            (self.logdir / f"{pair}.txt").write_text(text, encoding="utf-8")


def show_turns(turns: list[Message]) -> str:
    """A conversation as text, safe for a terminal."""
    return "".join(f"--- {turn['role']} ---\n{printable(turn['content'])}\n" for turn in turns)

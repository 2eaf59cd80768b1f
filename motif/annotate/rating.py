"""Labels by ratings: each distinct caption is rated once, and of a pair the higher rating wins."""

from __future__ import annotations

import contextlib
import csv
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from motif.annotate.annotator import Annotator, Answers
from motif.annotate.answers import explain_low_mass
from motif.annotate.cache import AnswerCache, answer_key
from motif.annotate.captions import Captioned
from motif.annotate.chat import ChatModel, ModelError, OpenRequestsError, Reply, Request
from motif.annotate.language_model import BLOCK, AskingOptions
from motif.annotate.misses import Misses
from motif.annotate.rating_prompt import RatingPrompt
from motif.annotate.refusals import NO_LOGPROBS, explain_refusal
from motif.atomic_write import atomic_write
from motif.messages import printable
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference
from motif.types import IndexArray

REMEMBERED = 1 << 16  # ratings in memory at once


class RatingAnnotator(Annotator):
    """Prefers what a chat model rates higher.

    Args:
        source: what the labels depend on, apart from the dataset; kept as provenance.
        make_model: loads the model; called when there is a caption without a rating. None: nobody
            is asked.
        cache: ratings of earlier runs, and of this one.
        temperature: what differences are divided by, in the probabilities.
        most: rate only so many captions, the commonest ones; pairs with another are unknown.
    """

    keeps_probabilities = True

    def __init__(
        self,
        prompt: RatingPrompt,
        make_model: Callable[[], ChatModel] | None,
        cache: AnswerCache,
        *,
        source: Mapping[str, Any],
        options: AskingOptions,
        temperature: float = 1.0,
        most: int | None = None,
    ) -> None:
        self.source, self.options, self.keys = source, options, options.keys
        self._prompt, self._make_model, self._cache = prompt, make_model, cache
        self._model: ChatModel | None = None
        self._temperature, self._most = temperature, most
        self._refused: dict[str, str] = {}  # reasons by caption
        self._left_open: set[str] = set()
        self._low: list[float] = []  # covered masses that are too small
        self._misses = Misses()
        self._tokens = self._tokens_read = 0
        self.rating = lru_cache(REMEMBERED)(self._rating)

    def annotate(self, pairs: PairsDataset, indices: IndexArray) -> Iterator[Answers]:
        """Rate the captions of the pairs ``indices``, commonest first; then label the pairs.

        Raises:
            ModelError: the model cannot be loaded, or cannot go on.
            OpenRequestsError: all is labelled but what the model leaves open.
        """
        try:
            with distinct_captions(self.options.captioned(pairs, indices)) as captions:
                self._rate(captions)
            yield from self._label(self.options.captioned(pairs, indices))
            if self._left_open:
                raise OpenRequestsError(f"{len(self._left_open):,} messages wait for answers")
        finally:
            if not self.keep_open:
                self.close()

    def open(self) -> None:
        """Load the model, or connect to its server."""
        if self._model is None and self._make_model is not None:
            started = time.perf_counter()
            self._model = self._make_model()
            self.seconds_to_load += time.perf_counter() - started
            self.served = getattr(self._model, "served", {})

    def close(self) -> None:
        """Free the cache; the model is freed as soon as all is rated, unless it is kept open."""
        self._free_model()
        self._cache.close()

    def _free_model(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None

    def publish(self, pairs: PairsDataset, path: Path) -> Path:
        """Write ``<annotator>.ratings.csv`` beside the labels: all captions, best first."""
        everything = self.options.captioned(pairs, np.arange(len(pairs)))
        with (
            contextlib.closing(AnswerCache(self._cache.folder)) as self._cache,
            distinct_captions(everything) as captions,
        ):
            self.rating.cache_clear()
            rows = []
            for caption, times in captions:
                masses = self._masses(caption)
                if masses:
                    rows.append((self._prompt.rating(masses), sum(masses), times, caption))
        path = path.with_suffix(".ratings.csv")
        with atomic_write(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["rating", "covered_mass", "times", "caption"])
            for rating, mass, times, caption in sorted(rows, key=lambda row: -row[0]):
                table.writerow([f"{rating:.4f}", f"{mass:.3f}", times, printable(caption)])
        return path

    def why_unknown(self) -> str:
        """What becomes of the pairs that are unknown, and what to do."""
        found = self._low
        return explain_low_mass(found, self.options.min_mass) if found else super().why_unknown()

    def _rate(self, captions: Iterator[tuple[str, int]]) -> None:
        """Ask for the ratings that no cache has, with a window of prompts under way."""
        commonest = islice(captions, self._most)
        wanted = [text for text, _ in commonest if self._masses(text) is None]
        if not wanted:
            return
        if self._make_model is None:
            self._left_open.update(wanted)
            return
        self.open()
        model, under_way, waiting = self._model, dict[int, str](), enumerate(wanted)
        assert model is not None
        shown = tqdm(
            total=len(wanted), unit="caption", desc="ratings", leave=False, disable=self.keep_open
        )
        with shown as bar:
            while True:
                room = self._misses.room(self.options.window) - len(under_way)
                for tag, caption in islice(waiting, max(room, 0)):
                    under_way[tag] = caption
                    model.submit([Request(tag, self._prompt.conversation(caption))])
                if not under_way:
                    break
                replies = model.collect()
                for reply in replies:
                    self._hear(under_way.pop(reply.tag), reply)
                    self._tokens += reply.new_tokens
                    self._tokens_read += reply.prompt_tokens
                self._cache.flush()
                speed = self._tokens_read / max(bar.format_dict["elapsed"], 1e-9)
                bar.set_postfix_str(f"{speed:,.0f} tokens/s read", refresh=False)
                bar.update(len(replies))
        if not self.keep_open:
            self._free_model()
        if self._misses.refusal and not len(self._cache):  # nobody ever got an answer
            raise ModelError(explain_refusal(self._misses.refusal))

    def _hear(self, caption: str, reply: Reply) -> None:
        if reply.left_open:
            self._left_open.add(caption)
            return
        refused = reply.refused or ("" if reply.first_token else NO_LOGPROBS)
        self._misses.refused(refused)
        if refused:
            self._refused[caption] = refused
            return
        masses = self._prompt.masses(reply.first_token)
        self._cache.put(answer_key(caption), masses)
        self._misses.decided(sum(masses) >= self.options.min_mass, lambda: self._problem(reply))

    def _problem(self, reply: Reply) -> str:
        seen = ", ".join(repr(printable(text)) for text, _ in reply.first_token[:5])
        return (
            f"began with {' or '.join(self._prompt.values)} (the last one's candidates: {seen}); "
            "if it thinks first, switch that off (as with --chat-template-kwargs "
            "'{\"enable_thinking\": false}'); if the words are right but unlikely, lower "
            "--min-mass, or take another --prompt-file"
        )

    def _label(self, captioned: Iterator[Captioned]) -> Iterator[Answers]:
        block: list[Captioned] = []
        for pair in captioned:
            if pair.first != pair.second and self._left_open.intersection(pair[1:]):
                continue
            block.append(pair)
            if len(block) == BLOCK:
                yield self._labelled(block)
                block = []
        if block:
            yield self._labelled(block)

    def _labelled(self, block: list[Captioned]) -> Answers:
        ratings = [[self.rating(pair.first), self.rating(pair.second)] for pair in block]
        first, second = np.array(ratings).T
        same = np.array([pair.first == pair.second for pair in block])
        difference = np.where(same, 0.0, first - second)
        labels = np.where(difference > 0, Preference.FIRST, Preference.SECOND).astype(np.int8)
        labels[np.abs(difference) <= self.options.tie_margin] = Preference.TIE
        labels[np.isnan(difference)] = Preference.UNKNOWN
        with np.errstate(over="ignore"):
            likely = 1 / (1 + np.exp(np.stack([-difference, difference], 1) / self._temperature))
        probabilities = np.where(same[:, None], [0.0, 0.0, 1.0], np.pad(likely, ((0, 0), (0, 1))))
        refused: dict[str, list[int]] = {}
        for pair in block if self._refused else []:
            reasons = {self._refused.get(pair.first), self._refused.get(pair.second)} - {None}
            for reason in reasons if pair.first != pair.second else ():
                refused.setdefault(str(reason), []).append(pair.pair)
        indices, likely = np.array([pair.pair for pair in block]), probabilities.astype(np.float32)
        answers = Answers(indices, labels, likely, self._tokens, self._tokens_read, refused)
        self._tokens = self._tokens_read = 0
        return answers

    def _rating(self, caption: str) -> float:
        masses = self._masses(caption)
        if masses and sum(masses) >= self.options.min_mass:
            return self._prompt.rating(masses)
        if masses:
            self._low.append(sum(masses))
        return math.nan

    def _masses(self, caption: str) -> list[float] | None:
        """What the cache says of the answers' probabilities; None if it says nothing of use."""
        found = self._cache.get(answer_key(caption))
        if not isinstance(found, list) or len(found) != len(self._prompt.values):
            return None
        usable = all(isinstance(mass, float) and 0 <= mass < math.inf for mass in found)
        return found if usable and sum(found) else None


@contextlib.contextmanager
def distinct_captions(captioned: Iterator[Captioned]) -> Iterator[Iterator[tuple[str, int]]]:
    """The captions of pairs, commonest first, with how often each occurs.

    Counted on disk, for there may be many. A pair whose sides are the same is a tie whatever they
    say, and does not count.
    """
    with contextlib.closing(sqlite3.connect("")) as counts:
        counts.execute("CREATE TABLE seen (caption TEXT PRIMARY KEY, times INT) WITHOUT ROWID")
        counts.executemany(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1",
            ((text,) for p in captioned if p.first != p.second for text in (p.first, p.second)),
        )
        yield counts.execute("SELECT caption, times FROM seen ORDER BY times DESC, caption")

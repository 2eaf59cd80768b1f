"""Annotators that read the game's own numbers: its final score, or the rewards of a side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from motif.annotate.annotator import Annotator, Answers
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import prefer_larger
from motif.types import IndexArray


class ScoreAnnotator(Annotator):
    """Prefers the side from the game that ended with the higher score; equal is a tie."""

    source = {"type": "score"}  # noqa: RUF012
    keys = ("message", "score")

    def annotate(self, pairs: PairsDataset, indices: IndexArray) -> Iterator[Answers]:
        """Label all ``indices`` at once."""
        yield Answers(indices, prefer_larger(pairs["score"][indices]))


class ReturnAnnotator(Annotator):
    """Prefers the side with the higher sum of game rewards over its steps; equal is a tie."""

    source = {"type": "return"}  # noqa: RUF012
    keys = ("message", "rewards")

    def annotate(self, pairs: PairsDataset, indices: IndexArray) -> Iterator[Answers]:
        """Label all ``indices`` at once."""
        reward_BPT = pairs["rewards"][indices]
        yield Answers(indices, prefer_larger(reward_BPT.sum(axis=2, dtype=np.float64)))

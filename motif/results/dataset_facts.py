"""What is in a pairs dataset: counts and distributions, from its arrays alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motif import blstats, messages
from motif.games.game import Kinds, find_game
from motif.pairs_dataset import ORIGIN, PairsDataset, arrays_present, read_provenance
from motif.preference.label_set import find_label_sets, load_preferences
from motif.preference.labels import count_labels
from motif.types import AnyArray, IndexArray, MessageArray

NO_ENTRIES = np.empty(0)

STATUS = {  # of each observation
    "depth": blstats.DEPTH,
    "experience level": blstats.EXPERIENCE_LEVEL,
    "turn": blstats.TURN,
}
OF_GAMES = {  # of the whole game that a side comes from
    "game's score": "score",
    "game's last turn": "turns",
    "game's last experience level": "experience_level",
}


class Distribution:
    """Distinct values, ascending, and how often each occurs."""

    def __init__(self, entries: AnyArray = NO_ENTRIES) -> None:
        self._entries = np.asarray(entries, dtype=np.float64).ravel()
        self.values, self.counts = np.unique(self._entries, return_counts=True)

    @property
    def mean(self) -> float:
        """NaN if there are no entries."""
        return float(self._entries.mean()) if len(self._entries) else float("nan")

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """For each share the smallest value such that as many entries do not exceed it."""
        if not len(self._entries):
            return [float("nan")] * len(shares)
        found: list[float] = np.quantile(self._entries, shares, method="inverted_cdf").tolist()
        return found


@dataclass(frozen=True)
class DatasetFacts:
    """All that the datasheet says."""

    pairs: int
    seq_len: int
    fingerprint: str
    collection: dict[str, Any]  # collection.json; empty for the release's datasets
    messages_UC: MessageArray  # distinct messages, the most frequent first
    counts_U: NDArray[np.int64]
    identical_pairs: int
    pairs_with: dict[str, int]  # per kind of message: pairs with it on either side
    distributions: dict[str, Distribution]
    labels: dict[str, dict[str, int]]  # per label set: counts by kind

    @property
    def observations(self) -> int:
        """On both sides of all pairs."""
        return 2 * self.pairs * self.seq_len

    @property
    def empty_messages(self) -> int:
        """Observations without a message."""
        return int(self.counts_U[~self.messages_UC.any(axis=1)].sum())


def gather_facts(directory: str | Path) -> DatasetFacts:
    """Read a dataset of the layout, ours or the release's.

    What stays in memory is 8 bytes an observation and array, and the distinct messages. Pages of
    the files are the kernel's to drop.

    Raises:
        DatasetError: the dataset, or its ``collection.json``, is damaged.
        PreferenceError: a label set of its folder is damaged or belongs to another dataset.
    """
    pairs = PairsDataset(directory, arrays_present(directory))
    unique_UC, index_NPT = messages.unique(pairs.messages)
    counts_U = np.bincount(index_NPT.ravel(), minlength=len(unique_UC)).astype(np.int64)
    order_U = np.argsort(-counts_U, kind="stable")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # label sets without provenance count too
        label_counts = {
            name: count_labels(load_preferences(pairs, name)) for name in find_label_sets(pairs)
        }
    collection = read_provenance(pairs.directory)
    game = find_game(collection.get("settings", {}).get("game", ORIGIN["game"]))
    return DatasetFacts(
        pairs=len(pairs),
        seq_len=pairs.messages.shape[2],
        fingerprint=pairs.fingerprint,
        collection=collection,
        messages_UC=unique_UC[order_U],
        counts_U=counts_U[order_U],
        identical_pairs=int((index_NPT[:, 0] == index_NPT[:, 1]).all(axis=1).sum()),
        pairs_with=_count_kinds(game.kinds, unique_UC, index_NPT),
        distributions=_distributions(pairs),
        labels=label_counts,
    )


def _count_kinds(kinds: Kinds, unique_UC: MessageArray, index_NPT: IndexArray) -> dict[str, int]:
    texts = [messages.decode(message) for message in unique_UC]
    counts = {}
    for kind, pattern in kinds.items():
        shown_U = np.array([bool(pattern.search(text)) for text in texts], dtype=bool)
        counts[kind] = int(shown_U[index_NPT].any(axis=(1, 2)).sum())
    return counts


def _distributions(pairs: PairsDataset) -> dict[str, Distribution]:
    """Of the status numbers and the games' totals that the dataset has."""
    found = {}
    if "blstats" in pairs.arrays:
        found = {name: Distribution(pairs["blstats"][..., at]) for name, at in STATUS.items()}
    totals = {name: key for name, key in OF_GAMES.items() if key in pairs.arrays}
    return found | {name: Distribution(pairs[key]) for name, key in totals.items()}

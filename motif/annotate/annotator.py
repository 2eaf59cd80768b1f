"""What an annotator is, and the loop that turns its answers into a label file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from motif.pairs_dataset import PairsDataset
from motif.preference.chunk import PreferenceChunk
from motif.preference.labels import Preference
from motif.types import AnyArray, IndexArray, LabelArray

ASKED_AGAIN = "unknown pairs are asked again by the same command"


class Answers(NamedTuple):
    """Labels of some pairs, in any order."""

    indices: IndexArray  # (B,) pairs of the dataset
    labels: LabelArray  # (B,) values of Preference
    probabilities: AnyArray | None = None  # (B, 3 or 4) float32: first, second, tie, lean
    tokens: int = 0  # that a language model wrote for them
    tokens_read: int = 0  # and read
    refused: Mapping[str, list[int]] = MappingProxyType({})  # pairs by why they have no answer


class Annotator(Protocol):
    """Prefers one side of a pair. The extension point: derive a new judge from it."""

    source: Mapping[str, Any]  # what the labels depend on beside the dataset, as JSON: provenance
    keys: tuple[str, ...]  # the dataset's arrays that it reads
    keeps_probabilities: bool = False  # whether its answers have them
    seconds_to_load: float = 0.0  # so far
    served: Mapping[str, Any] = MappingProxyType({})  # what a server tells of its model's weights
    tie_share: float | None = None  # of the pairs, the least decided: they become ties
    keep_open: bool = False  # annotate() is called again: only close() frees a model and a cache

    def open(self) -> None:
        """Load what the first question needs, to see that it can be: nothing, by default."""
        return

    def annotate(self, pairs: PairsDataset, indices: IndexArray) -> Iterator[Answers]:
        """Label the pairs ``indices``; each exactly once, in blocks of any size and order."""

    def why_unknown(self) -> str:
        """What becomes of the pairs that are unknown, and what to do."""
        return ASKED_AGAIN

    def publish(self, pairs: PairsDataset, path: Path) -> Path | None:
        """Write what belongs beside a label set that is whole now; where it is."""
        return None

    def close(self) -> None:
        """Free what it holds: nothing, unless an annotator says what."""
        return


def annotate_chunk(
    pairs: PairsDataset,
    annotator: Annotator,
    chunk: PreferenceChunk,
    *,
    flushing_freq: int,
    chosen: NDArray[np.bool_] | None = None,
) -> list[int]:
    """Label what is still unknown in ``chunk``, flushing every ``flushing_freq`` pairs.

    Args:
        chosen: leave all pairs of the dataset (N,) but these as they are.

    Returns:
        The chunks of the set that are not complete yet (none: the set has been merged).
    """
    wanted = np.True_ if chosen is None else chosen[chunk.start : chunk.stop]
    count = len(chunk.labels) if chosen is None else np.count_nonzero(wanted)
    unknown = np.flatnonzero((chunk.labels == Preference.UNKNOWN) & wanted)
    unknown += chunk.start  # in place: the one array that grows with the pairs
    done = count - len(unknown)
    description = chunk.annotator if chunk.chunks == 1 else f"{chunk.annotator} [{chunk.chunk}]"
    since_flush = tokens = read = 0
    counts = np.zeros(len(Preference), np.int64)  # of the pairs labelled in this run
    with tqdm(total=count, initial=done, unit="pair", desc=description) as bar:
        for answers in annotator.annotate(pairs, unknown):
            rows = answers.indices - chunk.start
            chunk.labels[rows] = answers.labels
            if chunk.probabilities is not None and answers.probabilities is not None:
                columns = min(chunk.probabilities.shape[1], answers.probabilities.shape[1])
                chunk.probabilities[rows, :columns] = answers.probabilities[:, :columns]
            counts += np.bincount(answers.labels, minlength=len(Preference))
            tokens, read = tokens + answers.tokens, read + answers.tokens_read
            for reason, refused in answers.refused.items():
                chunk.refused.setdefault(reason, []).extend(refused)
            ties, nothing = counts[[Preference.TIE, Preference.UNKNOWN]] / max(counts.sum(), 1)
            elapsed = max(bar.format_dict["elapsed"], 1e-9)
            speed = f", {read / elapsed:,.0f} tokens/s read, {tokens / elapsed:,.0f} written"
            told = f"ties {ties:.1%}, unknown {nothing:.1%}{speed if tokens else ''}"
            bar.set_postfix_str(told, refresh=False)
            bar.update(len(rows))
            since_flush += len(rows)
            if since_flush >= flushing_freq:
                chunk.flush()
                since_flush = 0
    chunk.served |= annotator.served
    if annotator.tie_share is not None and chunk.probabilities is not None:
        chunk.labels[:] = share_ties(chunk.labels, chunk.probabilities, annotator.tie_share)
    return chunk.finish()


def share_ties(labels: LabelArray, probabilities: AnyArray, share: float) -> LabelArray:
    """Labels (N,) with ``share`` of the known pairs as ties: those of the smallest log-odds.

    Args:
        labels: only which are unknown matters.
        probabilities: (N, 3) or more columns; first, second, tie.
    """
    first, second = probabilities[:, 0], probabilities[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(first.astype(np.float64)) - np.log(second.astype(np.float64))
    odds[(first == 0) & (second == 0)] = 0.0  # a tie whatever was said
    known = (labels != Preference.UNKNOWN) & ~np.isnan(odds)
    shared = np.where(odds > 0, Preference.FIRST, Preference.SECOND).astype(np.int8)
    if known.any():
        sizes = np.sort(np.abs(odds[known]))
        margin = sizes[max(math.ceil(share * len(sizes)), 1) - 1] if share else 0.0
        shared[np.abs(odds) <= margin] = Preference.TIE
    shared[~known] = Preference.UNKNOWN
    return shared

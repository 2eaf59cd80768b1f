"""How label sets of one dataset differ: counts, agreement, Cohen's kappa, position bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from motif.annotate.captions import caption
from motif.drawing import LABEL_COLORS, new_figure, save_picture, stacked_bars
from motif.intervals import wilson
from motif.messages import printable
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference, count_labels, prefer_larger
from motif.types import AnyArray, IndexArray, LabelArray

LABELS = (Preference.FIRST, Preference.SECOND, Preference.TIE)
SHOWN_CHARACTERS = 60  # of a caption in a table


@dataclass(frozen=True)
class PositionBias:
    """Share of first among the preferences, with its 95 % interval (Wilson)."""

    first: float
    low: float
    high: float

    @property
    def biased(self) -> bool:
        """Whether one half, what an annotator without bias gives, lies outside."""
        return not self.low <= 0.5 <= self.high


@dataclass(frozen=True)
class Agreement:
    """Two label sets, over the pairs that both have an answer for."""

    pairs: int
    agreement: float  # share of equal labels
    kappa: float  # Cohen's: 1 equal, 0 what chance gives
    opposed: float  # share with opposite preferences
    confusion: IndexArray  # (3, 3): first, second, tie of one by those of the other


def position_bias(labels: LabelArray) -> PositionBias:
    """Whether the annotator leans to the side that it reads first.

    The sides of a pair are in random order, so an annotator without bias has one half.
    """
    first, second = ((labels == side).sum() for side in (Preference.FIRST, Preference.SECOND))
    total = int(first + second)
    if not total:
        return PositionBias(math.nan, 0.0, 1.0)
    return PositionBias(float(first / total), *wilson(int(first), total))


def as_shown(labels: LabelArray, probabilities: AnyArray | None) -> LabelArray:
    """The labels, or where leans (N, 4) tell what was said in either order, twice as many."""
    asked = labels != Preference.UNKNOWN
    if probabilities is None or not (asked := asked & np.isfinite(probabilities[:, 3])).any():
        return labels
    first, second, _, lean = probabilities[asked].T
    ahead = np.concatenate([lean + first - second, lean - first + second])
    return prefer_larger(np.stack([ahead, np.zeros_like(ahead)], axis=1))


def compare(one: LabelArray, other: LabelArray) -> Agreement:
    """Agreement of two label sets (N,), unknown pairs left out.

    Cohen's kappa is (a - e) / (1 - e), with a the agreement and e that of independent annotators
    with the same counts; it is 1 where both give one and the same label throughout.
    """
    known = (one != Preference.UNKNOWN) & (other != Preference.UNKNOWN)
    confusion = np.zeros((len(LABELS), len(LABELS)), np.int64)
    np.add.at(confusion, (one[known], other[known]), 1)
    total = int(confusion.sum())
    if not total:
        return Agreement(0, math.nan, math.nan, math.nan, confusion)
    agreement = float(np.trace(confusion)) / total
    expected = float(confusion.sum(axis=1) @ confusion.sum(axis=0)) / total**2
    kappa = (agreement - expected) / (1 - expected) if expected < 1 else 1.0
    opposed = float(confusion[0, 1] + confusion[1, 0]) / total
    return Agreement(total, agreement, kappa, opposed, confusion)


def most_disagreed(label_sets: Sequence[LabelArray], most: int) -> IndexArray:
    """The pairs that annotators disagree on most, worst first.

    Ranked by the number of annotator couples with opposite preferences, then by the number of
    couples with any other difference; pairs without a difference are left out.
    """
    stacked = np.stack(label_sets)
    opposed = np.zeros(stacked.shape[1], np.int64)
    differing = np.zeros_like(opposed)
    for one, other in combinations(stacked, 2):
        known = (one != Preference.UNKNOWN) & (other != Preference.UNKNOWN)
        differing += known & (one != other)
        opposed += known & (np.minimum(one, other) == 0) & (np.maximum(one, other) == 1)
    order = np.lexsort((-differing, -opposed))[:most]
    worst: IndexArray = order[differing[order] > 0]
    return worst


def comparison_table(
    names: Sequence[str],
    label_sets: Sequence[LabelArray],
    probabilities: Sequence[AnyArray | None],
) -> str:
    """Counts and position bias of each set, agreement of each couple, as text."""
    width = max(len(name) for name in names)
    lines = [
        f"{'annotator':{width}}  {'first':>8} {'second':>8} {'tie':>8} {'unknown':>8}  "
        "first of preferences (95 %)"
    ]
    for name, labels, likely in zip(names, label_sets, probabilities):
        counts = " ".join(f"{count:>8,}" for count in count_labels(labels).values())
        bias = position_bias(as_shown(labels, likely))
        verdict = "  leans" if bias.biased else ""
        lines.append(
            f"{name:{width}}  {counts}  {bias.first:.3f} ({bias.low:.3f}-{bias.high:.3f}){verdict}"
        )
    if len(names) > 1:
        lines += ["", f"{'couple':{2 * width + 3}}  {'pairs':>8} agreement  kappa  opposed"]
    for (one, first), (other, second) in combinations(list(zip(names, label_sets)), 2):
        found = compare(first, second)
        lines.append(
            f"{one:{width}} / {other:{width}}  {found.pairs:>8,} {found.agreement:>9.3f} "
            f"{found.kappa:>6.3f} {found.opposed:>8.3f}"
        )
    return "\n".join(lines)


def disagreement_table(
    pairs: PairsDataset, names: Sequence[str], label_sets: Sequence[LabelArray], most: int
) -> str:
    """The pairs that the annotators disagree on most, with their captions, as text."""
    blocks = []
    for index in most_disagreed(label_sets, most):
        said = ", ".join(
            f"{name}: {Preference(labels[index]).name.lower()}"
            for name, labels in zip(names, label_sets)
        )
        shown = [_shorten(caption(pairs.messages[index, side])) for side in range(2)]
        blocks.append(f"pair {index}: {said}\n  first   {shown[0]}\n  second  {shown[1]}")
    return "\n".join(blocks) or "no pair on which they disagree"


def _shorten(text: str) -> str:
    line = printable(text).replace("\n", " / ")
    cut = line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"
    return cut or "(no message)"


def draw_comparison(path: Path, names: Sequence[str], label_sets: Sequence[LabelArray]) -> None:
    """A picture: the counts of each set, and Cohen's kappa of each couple."""
    counts = [count_labels(labels) for labels in label_sets]
    parts = [
        (color, kind, np.array([c[kind] / max(sum(c.values()), 1) for c in counts]))
        for kind, color in LABEL_COLORS.items()
    ]
    kappa = np.array([[compare(one, other).kappa for other in label_sets] for one in label_sets])
    with new_figure(11, 1.5 + 0.6 * len(names), dpi=120) as figure:
        bars, map_ = figure.subplots(1, 2)
        stacked_bars(bars, names, parts)
        bars.set_xlabel("share of pairs")
        bars.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        map_.imshow(kappa, vmin=-1, vmax=1, cmap="RdBu")
        for row, column in np.ndindex(kappa.shape):
            ink = "white" if abs(kappa[row, column]) > 0.5 else "black"
            map_.text(column, row, f"{kappa[row, column]:.2f}", ha="center", va="center", color=ink)
        map_.set_xticks(range(len(names)), names, rotation=20, ha="right")
        map_.set_yticks(range(len(names)), names)
        map_.set_title("Cohen's kappa")
    save_picture(path, figure)

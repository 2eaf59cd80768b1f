"""What a label is: the enum, its counts, and the label of the larger of two numbers."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from motif.types import AnyArray, LabelArray


class Preference(IntEnum):
    """Which side of a pair the annotator prefers; the values are those of the files."""

    FIRST = 0
    SECOND = 1
    TIE = 2
    UNKNOWN = 3  # not asked yet, or no usable answer; asked again on resume


def count_labels(labels: LabelArray) -> dict[str, int]:
    """How many of each kind, by lower-case name."""
    counts = np.bincount(labels, minlength=len(Preference))
    return {kind.name.lower(): int(counts[kind]) for kind in Preference}


def prefer_larger(value_BP: AnyArray) -> LabelArray:
    """The label of each pair (B,) from what its sides (B, 2) are worth; equal is a tie.

    Values are compared to six digits after the point: sums of the same numbers in another order
    are equal.
    """
    rounded_BP = np.round(np.asarray(value_BP, dtype=np.float64), 6)
    first, second = rounded_BP[:, 0], rounded_BP[:, 1]
    labels = np.full(len(rounded_BP), Preference.TIE, np.int8)
    labels[first > second] = Preference.FIRST
    labels[second > first] = Preference.SECOND
    return labels

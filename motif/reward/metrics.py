"""The CSV files of a reward run, written whole from the history that its checkpoints keep."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motif.atomic_write import atomic_write
from motif.reward.statistics import QUANTILES

QUANTILE_FILE = "reward_metrics/train_norm_quantiles.csv"
COLUMNS = {  # file: its columns; the first two have the release's names and one more of ours
    "train_metrics.csv": ("epoch", "total_train_loss", "total_train_acc"),
    "val_metrics.csv": (
        "iter",
        "total_val_loss",
        "score_validation_accs",  # agreement with the game's score
        "validation_accs",
        "unseen_validation_accs",  # on pairs with a message that no training pair has
    ),
    QUANTILE_FILE: tuple(f"{level:.2f}" for level in QUANTILES),
}
Row = list[float | None]  # None: there was nothing to measure; an empty cell
History = dict[str, list[Row]]  # by file; plain types, so that a checkpoint can keep it


def empty_history() -> History:
    """No rows yet, for each file."""
    return {name: [] for name in COLUMNS}


def add_row(history: History, file: str, values: Mapping[str, float | None]) -> None:
    """Append one row, given by column."""
    history[file].append([values[column] for column in COLUMNS[file]])


def write_metrics(run_folder: Path, history: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """Write every CSV file of ``run_folder`` anew, each atomically, numbers in full precision."""
    for name, columns in COLUMNS.items():
        with atomic_write(run_folder / name) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *history[name]])


def ratio(part: float, whole: float) -> float | None:
    """``part / whole``, or None where there is nothing to divide by."""
    return part / whole if whole else None

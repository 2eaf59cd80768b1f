"""The games of an RL run: ``episodes.csv``, one row as each of them ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motif.cli import command
from motif.errors import CheckpointError

FloatArray = NDArray[np.float64]
RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """The mean over the first fifth of some games, over the last, and how sure the change is."""

    first: float
    last: float
    low: float  # 95 % bootstrap interval of last - first
    high: float
    games: int  # in each fifth


def read_episodes(path: Path) -> dict[str, FloatArray]:
    """Columns of ``episodes.csv`` by name, in the order in which the games ended.

    What a crash leaves is skipped: a last line without its end, lines that don't fit the header,
    a header that was written again.

    Raises:
        CheckpointError: there is no such file, or it has no header.
    """
    if not path.is_file():
        raise CheckpointError(f"no {path}; it is written by {command('agent')}")
    header, *lines = read_lines(path) or [[]]
    if "return" not in header:
        raise CheckpointError(f"{path} does not begin with the names of its columns")
    rows = [values for line in lines if (values := numbers(line, len(header)))]
    table = np.array(rows, dtype=np.float64).reshape(-1, len(header))
    return {name: table[:, column] for column, name in enumerate(header)}


def read_lines(path: Path) -> list[list[str]]:
    """The cells of a CSV file without quotes, whatever its bytes; no last line without its end."""
    whole_lines, _, _ = path.read_bytes().decode("ascii", "replace").rpartition("\n")
    return [line.rstrip("\r").split(",") for line in whole_lines.split("\n") if line]


def numbers(line: list[str], length: int) -> list[float] | None:
    """``length`` finite numbers; None where a line holds anything else."""
    try:
        values = [float(value) for value in line]
    except ValueError:
        return None
    return values if len(values) == length and np.isfinite(values).all() else None


def order_of_start(episodes: dict[str, FloatArray], num_envs: int) -> NDArray[np.int64]:
    """The games in the order in which they began, as far as steps tell."""
    began = episodes["env_steps"] - num_envs * episodes["length"]
    return np.argsort(began, kind="stable")


def compare_fifths(
    values: FloatArray, rng: np.random.Generator, began: NDArray[np.int64] | None = None
) -> Comparison | None:
    """Compare the first fifth of ``values`` with the last; None for fewer than ten of them.

    With ``began``, the order in which the games began, the first fifth is of those that began
    first. The first games to *end* are the shortest of these, so their returns are low whatever
    the agent does, and that alone can look like learning.

    The interval comes from resampling the games of each fifth with replacement: percentiles 2.5
    and 97.5 of the difference of means.
    """
    games = len(values) // 5
    if games < 2:
        return None
    first = (values if began is None else values[began])[:games]
    last = values[-games:]
    resampled = [
        part[rng.integers(games, size=(RESAMPLES, games))].mean(axis=1) for part in (first, last)
    ]
    low, high = np.percentile(resampled[1] - resampled[0], [2.5, 97.5])
    return Comparison(float(first.mean()), float(last.mean()), float(low), float(high), games)


def running_mean(values: FloatArray, window: int) -> FloatArray:
    """The mean of each value and up to ``window - 1`` before it."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    means: FloatArray = (sums[ends] - sums[starts]) / (ends - starts)
    return means

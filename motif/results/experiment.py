"""What an experiment's policies did in the games of its evaluation: by run, and over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from motif.results.episodes import FloatArray

RESAMPLES = 2_000
NO_MEASURE = ("player", "number", "end")

Games = Mapping[str, FloatArray]  # of one policy: by measure a value for each game


def games_of(rows: Sequence[Mapping[str, Any]], player: str) -> dict[str, FloatArray]:
    """The games of a player, from the rows of ``games.csv``; successes count 1, failures 0."""
    own = [row for row in rows if row["player"] == player]
    names = [name for name in own[0] if name not in NO_MEASURE and own[0][name] is not None]
    return {name: np.array([row[name] for row in own], float) for name in names}


def interval_over_seeds(games_SG: Sequence[FloatArray]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of seeds' means, over seeds and over games.

    Each resample draws seeds, and anew games of each seed it drew.

    Args:
        games_SG: for each seed the values of its games.
    """
    rng, count = np.random.default_rng(0), len(games_SG)

    def resampled(games: FloatArray) -> FloatArray:
        means: FloatArray = games[rng.integers(len(games), size=(RESAMPLES, len(games)))].mean(1)
        return means

    # D: which of a resample's seeds; R: the resample; S: the seed that is drawn
    means_DRS = np.array([[resampled(games) for games in games_SG] for _ in range(count)])
    means_DRS = means_DRS.transpose(0, 2, 1)
    drawn_RD = rng.integers(count, size=(RESAMPLES, count))
    rows_R, draws_D = np.arange(RESAMPLES)[:, None], np.arange(count)
    low, high = np.percentile(means_DRS[draws_D, rows_R, drawn_RD].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def over_seeds(seeds: Sequence[Games]) -> dict[str, dict[str, float]]:
    """``mean``, ``low`` and ``high`` of each measure, over the policies of one arm."""
    summary = {}
    for measure in seeds[0]:
        games_SG = [games[measure] for games in seeds]
        low, high = interval_over_seeds(games_SG)
        mean = float(np.mean([games.mean() for games in games_SG]))
        summary[measure] = {"mean": mean, "low": low, "high": high}
    return summary


def rows_of_summary(
    task: str, arms: Mapping[str, Mapping[str, Mapping[str, float]]], measures: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A row for each arm: of each measure the mean and its interval."""
    for arm, summary in arms.items():
        row: dict[str, Any] = {"task": task, "arm": arm}
        for measure in measures:
            of = summary.get(measure, {})
            for part, suffix in (("mean", ""), ("low", " low"), ("high", " high")):
                row[f"{measure}{suffix}"] = round(of[part], 4) if of else ""
        yield row

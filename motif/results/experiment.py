"""What an experiment's policies did in the games of its evaluation: by run, and over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from motif.results.episodes import FloatArray

RESAMPLES = 2_000
NO_MEASURE = ("player", "number", "end")
RATES = {f"{name} per 1,000 steps": name for name in ("gold", "kills a monster")}

Games = Mapping[str, FloatArray]  # of one policy: by measure a value for each game


def games_of(rows: Sequence[Mapping[str, Any]], player: str) -> dict[str, FloatArray]:
    """The games of a player, from the rows of ``games.csv``; successes count 1, failures 0."""
    own = [row for row in rows if row["player"] == player]
    names = [name for name in own[0] if name not in NO_MEASURE and own[0][name] is not None]
    return {name: np.array([row[name] for row in own], float) for name in names}


def means(games: Games) -> dict[str, float]:
    """The mean of each measure, and what a thousand steps bring of those that have a rate."""
    mean = {name: float(values.mean()) for name, values in games.items()}
    rates = {rate: name for rate, name in RATES.items() if {name, "length"} <= set(mean)}
    return mean | {rate: 1000 * mean[name] / mean["length"] for rate, name in rates.items()}


def interval_over_seeds(
    games_SG: Sequence[FloatArray], steps_SG: Sequence[FloatArray] | None = None
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of seeds' means, over seeds and over games.

    Each resample draws seeds, and anew games of each seed it drew.

    Args:
        games_SG: for each seed the values of its games.
        steps_SG: their lengths; with them it is of what a thousand steps bring.
    """
    rng, count = np.random.default_rng(0), len(games_SG)

    def resampled(seed: int) -> FloatArray:
        games = games_SG[seed]
        rows = rng.integers(len(games), size=(RESAMPLES, len(games)))
        means: FloatArray = games[rows].mean(axis=1)
        return means if steps_SG is None else 1000 * means / steps_SG[seed][rows].mean(axis=1)

    # D: which of a resample's seeds; R: the resample; S: the seed that is drawn
    means_DRS = np.array([[resampled(seed) for seed in range(count)] for _ in range(count)])
    means_DRS = means_DRS.transpose(0, 2, 1)
    drawn_RD = rng.integers(count, size=(RESAMPLES, count))
    rows_R, draws_D = np.arange(RESAMPLES)[:, None], np.arange(count)
    low, high = np.percentile(means_DRS[draws_D, rows_R, drawn_RD].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def over_seeds(seeds: Sequence[Games]) -> dict[str, dict[str, float]]:
    """``mean``, ``low`` and ``high`` of each measure and rate, over the policies of one arm."""
    summary, means_S = {}, [means(games) for games in seeds]
    for measure in means_S[0]:
        games_SG = [games[RATES.get(measure, measure)] for games in seeds]
        steps_SG = [games["length"] for games in seeds] if measure in RATES else None
        low, high = interval_over_seeds(games_SG, steps_SG)
        mean = float(np.mean([of[measure] for of in means_S]))
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

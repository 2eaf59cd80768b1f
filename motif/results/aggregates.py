"""Many runs in few figures: intervals over seeds, and the aggregates of the rliable library.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from motif.drawing import import_matplotlib
from motif.errors import ConfigError, MissingPackageError
from motif.results.episodes import FloatArray
from motif.results.results_file import Curves, Results

RESAMPLES = 2000
GRID = 200  # points of a mean curve
SUCCESS_RETURN = 50.0  # of every task but the score task
SCORE_TASK = "NetHackScore-v1"
AGGREGATES = ("median", "iqm", "mean", "optimality_gap")


@dataclass(frozen=True)
class MeanCurve:
    """The mean over seeds, and its 95 % bootstrap interval (resampling seeds)."""

    timesteps: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    seeds: FloatArray  # (S, GRID)


@dataclass(frozen=True)
class Estimate:
    """An aggregate of a method with its 95 % interval."""

    value: float
    low: float
    high: float


def mean_curve(curves: Curves) -> MeanCurve | None:
    """All seeds at the same steps, where all of them have a value; None if nowhere."""
    pairs = [
        (np.asarray(steps, dtype=float), np.asarray(values, dtype=float))
        for steps, values in zip(curves["timesteps"], curves["returns"])
        if len(steps)
    ]
    if not pairs:
        return None
    low, high = max(steps[0] for steps, _ in pairs), min(steps[-1] for steps, _ in pairs)
    if low > high:
        return None
    grid = np.linspace(low, high, GRID)
    seeds = np.stack([np.interp(grid, steps, values) for steps, values in pairs])
    return MeanCurve(grid, seeds.mean(axis=0), *interval_of_mean(seeds), seeds)


def interval_of_mean(seeds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """95 % bootstrap interval of the mean over the first axis, resampling seeds.

    Of three seeds it is their range, for one resample in 27 is the lowest of them alone.
    """
    drawn = np.random.default_rng(0).integers(len(seeds), size=(RESAMPLES, len(seeds)))
    low, high = np.percentile(seeds[drawn].mean(axis=1), [2.5, 97.5], axis=0)
    return low, high


def normalised_scores(results: Results) -> dict[str, FloatArray]:
    """(seeds, tasks) for each method, over the tasks that all methods have: last values of curves.

    A success task's return is divided by that of a success, the score task's by the best method's
    mean. With different numbers of seeds the first are taken.

    Raises:
        ConfigError: no task has all methods.
    """
    finals = {
        (task, method): np.array([values[-1] for values in curves["returns"] if values])
        for task, by_method in sorted(results.items())
        for method, curves in by_method.items()
    }
    methods = sorted({method for _, method in finals})
    tasks = [t for t in sorted(results) if all(len(finals.get((t, m), ())) for m in methods)]
    if not tasks:
        raise ConfigError(
            f"no task has finished games of all methods ({', '.join(methods)}); aggregates need one"
        )
    scales = dict.fromkeys(tasks, SUCCESS_RETURN)
    if SCORE_TASK in scales:
        best = max(float(finals[SCORE_TASK, method].mean()) for method in methods)
        scales[SCORE_TASK] = best if best > 0 else 1.0
    scores = {}
    for method in methods:
        seeds = min(len(finals[task, method]) for task in tasks)
        rows = [finals[task, method][:seeds] / scales[task] for task in tasks]
        scores[method] = np.stack(rows, axis=1)
    return scores


def aggregate(scores: Mapping[str, FloatArray]) -> dict[str, dict[str, Estimate]]:
    """rliable's aggregates of normalised scores, by method and name; intervals by resampling runs.

    Raises:
        MissingPackageError: rliable is not installed.
    """
    import_matplotlib()  # which rliable imports
    try:
        from rliable import library, metrics
    except ImportError as error:
        raise MissingPackageError(
            f"rliable cannot be imported ({error}); install it: pip install -e '.[plots]'"
        ) from None

    def measure(scores_RT: FloatArray) -> FloatArray:
        measures = (getattr(metrics, f"aggregate_{name}") for name in AGGREGATES)
        return np.array([measured(scores_RT) for measured in measures])

    before = np.random.get_state()
    np.random.seed(0)  # rliable takes a random_state, but draws from numpy's global one
    try:
        values, intervals = library.get_interval_estimates(dict(scores), measure, reps=RESAMPLES)
    finally:
        np.random.set_state(before)
    return {
        method: {
            name: Estimate(float(values[method][i]), *map(float, intervals[method][:, i]))
            for i, name in enumerate(AGGREGATES)
        }
        for method in scores
    }

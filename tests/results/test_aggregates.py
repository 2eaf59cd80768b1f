"""Means over seeds and aggregates over tasks."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from motif.errors import ConfigError, MissingPackageError
from motif.results.aggregates import aggregate, mean_curve, normalised_scores
from motif.results.results_file import read_results

ROOT = Path(__file__).resolve().parents[2]


def curves_of(*finals: float) -> dict:
    return {"timesteps": [[0, 10]] * len(finals), "returns": [[0, final] for final in finals]}


RESULTS = {
    "NetHackScore-v1": {"motif": curves_of(100, 300), "extrinsic_only": curves_of(50, 150)},
    "NetHackOracle-v1": {"motif": curves_of(50, 25, 0), "extrinsic_only": curves_of(0, 0)},
    "NetHackStaircase-v1": {"motif": curves_of(50)},
}


def test_seeds_are_brought_to_the_same_steps():
    curve = mean_curve({"timesteps": [[0, 10], [4, 20]], "returns": [[0, 10], [4, 20]]})
    assert (curve.timesteps[0], curve.timesteps[-1]) == (4, 10)
    np.testing.assert_allclose(curve.mean, curve.timesteps)
    assert curve.seeds.shape[0] == 2


def test_the_interval_holds_the_mean_and_is_no_wider_than_the_seeds():
    curve = mean_curve(curves_of(1, 2, 6))
    assert curve.mean[-1] == 3
    assert 1 <= curve.low[-1] < 3 < curve.high[-1] <= 6
    single = mean_curve(curves_of(5))
    np.testing.assert_array_equal(single.low, single.high)


@pytest.mark.parametrize(
    "curves",
    [
        {"timesteps": [], "returns": []},
        {"timesteps": [[]], "returns": [[]]},
        {"timesteps": [[1, 2], [5, 6]], "returns": [[1, 2], [3, 4]]},
    ],
)
def test_nothing_in_common(curves):
    assert mean_curve(curves) is None


def test_scores_are_shares_of_a_success_or_of_the_best_method():
    scores = normalised_scores(RESULTS)  # tasks in order: Oracle, Score
    np.testing.assert_allclose(scores["motif"], [[1, 0.5], [0.5, 1.5]])
    np.testing.assert_allclose(scores["extrinsic_only"], [[0, 0.25], [0, 0.75]])


def test_no_task_has_all_methods():
    results = {"a": {"motif": curves_of(1)}, "b": {"other": curves_of(1)}}
    with pytest.raises(ConfigError, match=r"no task has finished games of all methods \(motif"):
        normalised_scores(results)


def test_aggregates_of_rliable():
    pytest.importorskip("rliable")
    scores = {"motif": np.array([[0.0], [0.25], [0.5], [2.0]])}
    values = aggregate(scores)["motif"]
    assert values["median"].value == pytest.approx(0.6875)  # of one task: the mean over runs
    assert values["iqm"].value == pytest.approx(0.375)  # of the middle two
    assert values["mean"].value == pytest.approx(0.6875)
    assert values["optimality_gap"].value == pytest.approx((1 + 0.75 + 0.5 + 0) / 4)
    for estimate in values.values():
        assert estimate.low <= estimate.value <= estimate.high
    assert aggregate(scores)["motif"] == values  # the same intervals again


def test_the_published_aggregates_are_those_of_the_published_results():
    pytest.importorskip("rliable")
    estimates = aggregate(normalised_scores(read_results(ROOT / "motif_results.pkl")))
    with (ROOT / "docs/results/plots/aggregates.csv").open() as file:
        published = list(csv.DictReader(file))
    assert len(published) == sum(map(len, estimates.values()))
    for row in published:
        estimate = estimates[row["method"]][row["aggregate"]]
        for name in ("value", "low", "high"):
            assert getattr(estimate, name) == pytest.approx(float(row[name]), rel=1e-5)


def test_without_rliable(monkeypatch):
    monkeypatch.setitem(sys.modules, "rliable", None)
    with pytest.raises(MissingPackageError, match=r"install it: pip install -e '\.\[plots\]'"):
        aggregate({"motif": np.ones((2, 1))})

"""Intervals of success rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif.intervals import wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # statsmodels' proportion_confint(…, method="wilson") gives these
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.277533),
        (5, 10, 0.236593, 0.763407),
        (10, 10, 0.722467, 1.0),
        (1, 1, 0.206549, 1.0),
        (30, 100, 0.218949, 0.395850),
    ],
)
def test_known_values(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-5)


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_rate_lies_inside_and_failures_mirror_successes(successes, failures):
    trials = successes + failures
    low, high = wilson(successes, trials)
    assert 0 <= low <= high <= 1
    if trials:
        assert low - 1e-12 <= successes / trials <= high + 1e-12
        assert wilson(failures, trials) == pytest.approx((1 - high, 1 - low))

"""Mean, variance, quantiles and ranks of rewards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motif.reward.statistics import (
    QUANTILES,
    normalise,
    rank_correlation,
    reward_moments,
    reward_quantiles,
)


def test_moments_of_known_rewards():
    assert reward_moments(torch.tensor([1.0, 1.0, 1.0, 5.0])) == (2.0, 3.0)


def test_moments_survive_a_large_offset():
    """In float32 the squares would lose all digits."""
    mean, variance = reward_moments(torch.tensor([10_000.0, 10_001.0]).repeat(50_000))
    assert (mean, variance) == (10_000.5, 0.25)


@given(
    rewards=st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=8),
    repeats=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_moments_count_repeats_in_any_order(rewards, repeats, seed):
    """As many rows as observations: what a weighted sum over distinct messages gives."""
    counts = np.random.default_rng(seed).integers(1, repeats + 1, len(rewards))
    observed = np.random.default_rng(seed).permutation(np.repeat(rewards, counts))
    mean, variance = reward_moments(torch.tensor(observed, dtype=torch.float32))
    expected = np.average(rewards, weights=counts)
    assert mean == pytest.approx(expected, abs=1e-9)
    squares = np.average((np.array(rewards) - expected) ** 2, weights=counts)
    assert variance == pytest.approx(squares, abs=1e-9)


def test_normalise():
    assert normalise(torch.tensor([1.0, 5.0]), 3.0, 4.0).tolist() == [-1.0, 1.0]
    array = normalise(np.array([1.0, 5.0], dtype=np.float32), 3.0, 4.0)
    assert array.tolist() == [-1.0, 1.0] and array.dtype == np.float32


def test_one_reward_for_all_is_no_opinion():
    assert normalise(torch.tensor([3.0, 3.0]), 3.0, 0.0).tolist() == [0.0, 0.0]


def test_quantiles_are_interpolated():
    quantiles = reward_quantiles(torch.tensor([0.0, 1.0, 3.0]))
    assert list(quantiles) == list(QUANTILES)
    assert quantiles[0.05] == pytest.approx(0.1)
    assert quantiles[0.5] == pytest.approx(1.0)
    assert quantiles[0.75] == pytest.approx(2.0)
    assert quantiles[0.95] == pytest.approx(2.8)


def test_the_levels_are_those_of_the_release():
    assert len(QUANTILES) == 19
    assert [f"{level:.2f}" for level in QUANTILES[:3]] == ["0.05", "0.10", "0.15"]
    assert (0.5 in QUANTILES, QUANTILES[-1]) == (True, 0.95)


def test_rank_correlation_by_hand():
    # ranks 1 2 3 4 and 1 3 2 4: 1 - 6 · 2 / (4 · 15)
    assert rank_correlation(np.array([1, 2, 3, 4]), np.array([0.1, 7, 0.5, 90])) == (
        pytest.approx(0.8)
    )
    # ties share a rank: 1.5 1.5 3 and 1 2 3
    assert rank_correlation(np.array([5, 5, 9]), np.array([1, 2, 3])) == (pytest.approx(0.75**0.5))


@pytest.mark.parametrize("first, second", [([], []), ([1], [2]), ([3, 3, 3], [1, 2, 3])])
def test_no_rank_correlation_of_what_does_not_vary(first, second):
    assert rank_correlation(np.array(first), np.array(second)) is None


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=30))
def test_rank_correlation_sees_the_order_alone(pairs):
    first, second = np.array(pairs).T
    correlation = rank_correlation(first, second)
    assert rank_correlation(np.exp(first), second) == pytest.approx(correlation)
    if correlation is not None:
        assert rank_correlation(-first, second) == pytest.approx(-correlation)
        assert -1 <= correlation <= 1 + 1e-12

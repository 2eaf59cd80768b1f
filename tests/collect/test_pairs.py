"""The sampling of sides: SPEC section 2."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif.collect.pairs import count_starts, sample_sides, windows

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(lengths=LENGTHS, seq_len=st.integers(1, 5), seed=st.integers(0, 99))
def test_sides_are_distinct_windows_inside_their_games(lengths, seq_len, seed):
    num_pairs = sum(count_starts(length, seq_len) for length in lengths) // 2
    if not num_pairs:
        return
    game, start, _ = sample_sides(lengths, num_pairs, seq_len, np.random.default_rng(seed))
    assert game.shape == start.shape == (num_pairs, 2)
    assert (start >= 0).all() and (start + seq_len <= np.array(lengths)[game]).all()
    sides = list(zip(game.ravel(), start.ravel()))
    assert len(set(sides)) == len(sides)
    drawn = np.bincount(game.ravel(), minlength=len(lengths))
    assert all(n <= count_starts(length, seq_len) for n, length in zip(drawn, lengths))


def test_with_one_step_a_side_every_observation_is_used_once():
    game, start, _ = sample_sides([3, 5], 4, 1, np.random.default_rng(0))
    expected = {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4)}
    assert set(zip(game.ravel().tolist(), start.ravel().tolist())) == expected


def test_games_meet_in_pairs():
    game, _, _ = sample_sides([500, 500], 500, 1, np.random.default_rng(0))
    assert 0.4 < np.mean(game[:, 0] != game[:, 1]) < 0.6


def test_sampling_depends_on_the_generator_alone():
    draws = [sample_sides([30, 40], 17, 2, np.random.default_rng(s))[1] for s in (1, 1, 2)]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


def test_too_few_games_is_our_own_mistake():
    with pytest.raises(AssertionError, match="too few games"):
        sample_sides([3], 4, 1, np.random.default_rng(0))


def test_windows_are_consecutive_rows():
    assert windows(np.array([4, 0]), 3).tolist() == [[4, 5, 6], [0, 1, 2]]

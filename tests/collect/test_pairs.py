"""The sampling of sides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif import messages
from motif.collect.pairs import (
    draw_systematically,
    inclusion_probabilities,
    message_rarity,
    sample_sides,
    windows,
)

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(lengths=LENGTHS, seq_len=st.integers(1, 5), seed=st.integers(0, 99))
def test_sides_are_distinct_windows_inside_their_games(lengths, seq_len, seed):
    num_pairs = sum(length // seq_len for length in lengths) // 2
    if not num_pairs:
        return
    game, start, _ = sample_sides(lengths, num_pairs, seq_len, np.random.default_rng(seed))
    assert game.shape == start.shape == (num_pairs, 2)
    assert (start >= 0).all() and (start + seq_len <= np.array(lengths)[game]).all()
    sides = list(zip(game.ravel(), start.ravel()))
    assert len(set(sides)) == len(sides)
    drawn = np.bincount(game.ravel(), minlength=len(lengths))
    assert all(n <= length // seq_len for n, length in zip(drawn, lengths))


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


@given(
    sizes=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_inclusion_probabilities_and_draws(sizes, share, seed):
    count = round(share * len(sizes))
    inclusion = inclusion_probabilities(np.array(sizes), count)
    assert inclusion.sum() == pytest.approx(count, abs=1e-6)
    assert ((inclusion >= 0) & (inclusion <= 1)).all()
    below = (
        inclusion[(inclusion < 1) & (inclusion > 0)]
        / np.array(sizes)[(inclusion < 1) & (inclusion > 0)]
    )
    if len(below):  # in proportion, and the certain ones are the larger ones
        np.testing.assert_allclose(below, below[0])
    drawn = draw_systematically(inclusion, np.random.default_rng(seed))
    assert len(drawn) == len(set(drawn.tolist())) == count
    assert set(np.nonzero(inclusion == 1)[0]) <= set(drawn.tolist())


def test_each_is_drawn_with_its_probability():
    inclusion = inclusion_probabilities(np.array([8.0, 4, 2, 1, 1, 1, 1]), 3)
    assert inclusion[:3].tolist() == [1, 0.8, 0.4]
    rng = np.random.default_rng(0)
    counts = np.zeros(7)
    for _ in range(4000):
        order = rng.permutation(7)
        counts[order[draw_systematically(inclusion[order], rng)]] += 1
    bound = 5 * np.sqrt(inclusion * (1 - inclusion) / 4000)
    assert (np.abs(counts / 4000 - inclusion) <= bound).all()


COMMON, RARE = 900, 100  # observations with the one message, and with 100 others


def rare_sides(num_pairs: int, seed: int, exponent: float = 0.5):
    counts = np.where(np.arange(COMMON + RARE) < COMMON, COMMON, 1)
    rarity = [counts[:300] ** -exponent, counts[300:] ** -exponent]
    rng = np.random.default_rng(seed)
    game, start, weight = sample_sides([300, 700], num_pairs, 1, rng, rarity)
    return (game * 300 + start >= COMMON), weight


def test_rare_messages_are_drawn_more_often_and_weights_undo_it():
    shares, estimates = [], []
    for seed in range(200):
        is_rare, weight = rare_sides(50, seed)
        shares.append(is_rare.mean())
        estimates.append((is_rare / weight).sum() / (1 / weight).sum())
    # 100 rare ones of size 1 against 900 of size 1/30, so 100 : 30
    assert np.mean(shares) == pytest.approx(100 / 130, abs=0.01)
    assert np.mean(estimates) == pytest.approx(RARE / (COMMON + RARE), abs=0.003)


def test_exponent_0_is_uniform():
    is_rare, weight = rare_sides(400, 0, exponent=0.0)
    assert (weight == pytest.approx(1.0)) and weight.shape == (400, 2)
    assert is_rare.mean() == pytest.approx(0.1, abs=0.02)


def test_rarity_of_a_longer_side_is_its_mean():
    rarity = [np.array([1.0, 1, 1, 1, 9, 9, 9, 9])]
    draws = [sample_sides([8], 1, 2, np.random.default_rng(s), rarity) for s in range(50)]
    _, start, weight = (np.concatenate(arrays) for arrays in zip(*draws))
    assert weight[start >= 4].min() > weight[start <= 2].max()


class Games:
    """What staging hands out, a game at a time."""

    def __init__(self, *games: list[str]) -> None:
        self._games = games

    def games(self, name: str):
        for texts in self._games:
            yield {name: encode(texts)}


def encode(texts: list[str]):
    return np.stack([messages.encode(text) for text in texts])


def test_rarity_counts_messages_over_all_games():
    staging = Games(["", "a"], ["", "b", ""], ["", "b"])
    rarity = message_rarity(staging, 0.5)
    expected = [[0.5, 1], [0.5, 2**-0.5, 0.5], [0.5, 2**-0.5]]
    assert len(rarity) == 3
    for have, want in zip(rarity, expected):
        np.testing.assert_allclose(have, want)

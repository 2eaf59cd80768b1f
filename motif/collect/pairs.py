"""Which observations of which games become the two sides of which pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from motif.types import IndexArray


def count_starts(length: int, seq_len: int) -> int:
    """How many sides of ``seq_len`` steps a game of ``length`` observations yields."""
    return length // seq_len


def sample_sides(
    lengths: Sequence[int], num_pairs: int, seq_len: int, rng: np.random.Generator
) -> tuple[IndexArray, IndexArray]:
    """Draw length // L starts of each game without replacement, shuffle all, pair neighbours.

    The sampling of the release's dataset (SPEC section 2).

    Args:
        lengths: observations of each game; they must yield at least 2 * ``num_pairs`` starts.

    Returns:
        Two arrays (N, 2): the game of each side, and its first observation in that game.
    """
    games, starts = [], []
    for game, length in enumerate(lengths):
        count = count_starts(length, seq_len)
        if count:
            starts.append(rng.choice(length - seq_len + 1, size=count, replace=False))
            games.append(np.full(count, game))
    chosen = rng.permutation(sum(map(len, starts)))[: 2 * num_pairs]
    assert len(chosen) == 2 * num_pairs, "too few games"
    return (
        np.concatenate(games)[chosen].reshape(-1, 2),
        np.concatenate(starts)[chosen].reshape(-1, 2),
    )


def windows(starts: IndexArray, seq_len: int) -> IndexArray:
    """The L rows from each start on, (len(starts), L)."""
    return starts[:, None] + np.arange(seq_len)

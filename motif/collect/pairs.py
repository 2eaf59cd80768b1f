"""Which observations of which games become the two sides of which pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from motif.collect.staging import Staging
from motif.types import AnyArray, IndexArray


def sample_sides(
    lengths: Sequence[int],
    num_pairs: int,
    seq_len: int,
    rng: np.random.Generator,
    rarity: Sequence[AnyArray] | None = None,
) -> tuple[IndexArray, IndexArray, AnyArray]:
    """Draw length // L starts of each game without replacement, shuffle all, pair neighbours.

    The sampling of the release's dataset. With ``rarity``, which of the starts are used is drawn
    with probability proportional to the mean rarity of their L observations.

    Args:
        lengths: observations of each game; they must yield at least 2 * ``num_pairs`` starts.
        rarity: for each game, a positive number for each of its observations.

    Returns:
        Three arrays (N, 2): the game of each side, its first observation in that game, and how
        much likelier it was to be drawn than it is without ``rarity``.
    """
    games, starts = [], []
    for game, length in enumerate(lengths):
        if count := length // seq_len:
            starts.append(rng.choice(length - seq_len + 1, size=count, replace=False))
            games.append(np.full(count, game))
    total, wanted = sum(map(len, starts)), 2 * num_pairs
    order = rng.permutation(total)
    assert total >= wanted, "too few games"
    if rarity is None:
        weights, chosen = np.ones(total), order[:wanted]
    else:
        means = [
            rarity[game[0]][windows(start, seq_len)].mean(axis=1)
            for game, start in zip(games, starts)
        ]
        inclusion = inclusion_probabilities(np.concatenate(means), wanted)
        weights = inclusion * (total / wanted)
        chosen = order[draw_systematically(inclusion[order], rng)]
    return (
        np.concatenate(games)[chosen].reshape(-1, 2),
        np.concatenate(starts)[chosen].reshape(-1, 2),
        weights[chosen].reshape(-1, 2),
    )


def inclusion_probabilities(sizes: AnyArray, count: int) -> AnyArray:
    """Proportional to ``sizes``, at most 1, with the sum ``count``.

    Those that would be above 1 are, and the others share what is left.
    """
    certain = np.zeros(len(sizes), np.bool_)
    while True:
        rest = count - int(certain.sum())
        scaled = np.where(certain, 0.0, sizes)
        scaled = scaled * (rest / scaled.sum()) if rest else np.zeros(len(sizes))
        above = scaled > 1 - 1e-6  # a margin for rounding, else one could be drawn twice
        if not above.any():
            return np.where(certain, 1.0, scaled)
        certain |= above


def draw_systematically(inclusion: AnyArray, rng: np.random.Generator) -> IndexArray:
    """Indices drawn without replacement, each with exactly its probability, in ascending order.

    Systematic sampling: the probabilities are laid end to end, and what lies under the points
    u, u + 1, u + 2 … is taken. Shuffle before, so that neighbours don't exclude one another.

    Args:
        inclusion: probabilities whose sum is a whole number, the number of indices drawn.
    """
    certain = inclusion == 1.0
    ends = np.cumsum(np.where(certain, 0.0, inclusion))
    points = rng.random() + np.arange(round(float(ends[-1])))
    drawn = certain.copy()
    drawn[np.searchsorted(ends, np.minimum(points, ends[-1] * (1 - 1e-12)), side="right")] = True
    chosen: IndexArray = np.nonzero(drawn)[0]
    assert len(chosen) == round(float(inclusion.sum()))
    return chosen


def message_rarity(staging: Staging, exponent: float) -> list[AnyArray]:
    """For each game, ``count ** -exponent`` of each observation's message.

    The count is over all observations of all games; an empty message is a message.
    """
    number_of: dict[bytes, int] = {}  # each distinct message
    games = [
        np.array([number_of.setdefault(m.tobytes(), len(number_of)) for m in game["message"]])
        for game in staging.games("message")
    ]
    rarity = np.bincount(np.concatenate(games)).astype(np.float64) ** -exponent
    return [rarity[numbers] for numbers in games]


def windows(starts: IndexArray, seq_len: int) -> IndexArray:
    """The L rows from each start on, (len(starts), L)."""
    return starts[:, None] + np.arange(seq_len)

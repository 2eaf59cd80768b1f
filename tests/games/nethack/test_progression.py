"""BALROG's progression."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif.games.nethack.progression import progression


@pytest.mark.parametrize(
    ("deepest", "level", "value"),
    [(1, 1, 0.0126), (5, 1, 0.0265), (10, 6, 0.1256), (1, 6, 0.0369), (2, 10, 0.1791)],
)
def test_figures_of_the_benchmark(deepest, level, value):
    assert progression(deepest, level) == value


def test_a_won_game_is_all_there_is():
    assert progression(1, 1, won=True) == 1.0


@given(st.integers(0, 60), st.integers(0, 40))
def test_deeper_and_stronger_is_never_less(deepest, level):
    assert progression(deepest, level) <= progression(deepest + 1, level + 1) < 1

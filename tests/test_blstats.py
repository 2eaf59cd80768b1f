"""Scaling of the bottom-line statistics."""

from __future__ import annotations

import numpy as np
import pytest

from motif.blstats import (
    BLSTATS_SIZE,
    BRANCH,
    CONDITION,
    DEPTH,
    EXPERIENCE_LEVEL,
    GOLD,
    HP,
    HUNGER,
    LEVEL,
    MAX_HP,
    SCORE,
    TURN,
    X,
    Y,
    scale_blstats,
)
from motif.games.nethack.tasks import HALLUCINATING


@pytest.mark.parametrize(
    ("index", "value", "scaled"),
    [
        (0, 79, 1.0),
        (1, 21, 1.0),
        (2, 99, 0.0),
        (3, 18, 1.8),
        (8, 12, 1.2),
        (9, 5000, 0.0),
        (10, 14, 1.4),
        (11, 90, 5.0),
        (12, 4, 0.0),
        (13, 2500, 2.5),
        (16, -60, -5.0),
        (17, 3, 0.0),
        (18, 8, 0.8),
        (19, 120, 1.2),
        (20, 4000, 4.0),
        (21, 2, 2.0),
        (22, 3, 0.3),
        (24, 4, 0.0),
        (26, 1, 0.0),
    ],
)
def test_each_statistic_has_its_scale_and_the_clip(index, value, scaled):
    blstats = np.zeros((1, BLSTATS_SIZE), dtype=np.int64)
    blstats[0, index] = value
    result = scale_blstats(blstats)
    assert result.dtype == np.float32
    assert result[0, index] == pytest.approx(scaled)
    assert np.count_nonzero(result) == (scaled != 0)


@pytest.mark.nle
def test_indices_are_nle_s():
    nethack = pytest.importorskip("nle.nethack")
    assert nethack.NLE_BLSTATS_SIZE == BLSTATS_SIZE == 27
    assert nethack.NLE_BL_DEPTH == DEPTH
    assert nethack.NLE_BL_XP == EXPERIENCE_LEVEL
    assert nethack.NLE_BL_TIME == TURN
    assert (nethack.NLE_BL_HP, nethack.NLE_BL_HPMAX) == (HP, MAX_HP)
    assert nethack.NLE_BL_HUNGER == HUNGER
    assert (nethack.NLE_BL_X, nethack.NLE_BL_Y) == (X, Y)
    assert (nethack.NLE_BL_SCORE, nethack.NLE_BL_GOLD) == (SCORE, GOLD)
    assert (nethack.NLE_BL_DNUM, nethack.NLE_BL_DLEVEL) == (BRANCH, LEVEL)
    assert (nethack.NLE_BL_CONDITION, nethack.BL_MASK_HALLU) == (CONDITION, HALLUCINATING)

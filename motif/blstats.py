"""NLE's 27 bottom-line statistics, scaled for a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motif.types import AnyArray

BLSTATS_SIZE = 27  # NLE_BLSTATS_SIZE of nle 1.0.0
BLSTATS_CLIP = 5.0
X, Y = 0, 1  # of the hero, on the map
SCORE = 9
HP, MAX_HP = 10, 11
DEPTH = 12  # levels below the surface, in whatever branch
GOLD = 13
EXPERIENCE_LEVEL = 18
TURN = 20
HUNGER = 21
HUNGER_WORDS = ("Satiated", "", "Hungry", "Weak", "Fainting", "Fainted", "Starved")
BRANCH, LEVEL = 23, 24  # of the dungeon, and the level's number inside it
CONDITION = 25  # a bit for each of hallucination, blindness, …

_SCALES = {
    0: 1 / 79,  # x
    1: 1 / 21,  # y
    **dict.fromkeys(range(3, 9), 1 / 10),  # strength to charisma
    **dict.fromkeys((10, 11), 1 / 10),  # hit points and their maximum
    13: 1 / 1000,  # gold
    **dict.fromkeys((14, 15, 16), 1 / 10),  # energy, its maximum, armour class
    18: 1 / 10,  # experience level
    19: 1 / 100,  # experience points
    20: 1 / 1000,  # turn
    21: 1.0,  # hunger
    22: 1 / 10,  # carrying capacity
}
BLSTATS_SCALE = np.array([_SCALES.get(index, 0.0) for index in range(BLSTATS_SIZE)])


def scale_blstats(blstats: AnyArray) -> NDArray[np.float32]:
    """(..., 27) integers to (..., 27) float32: scaled, then clipped to ±5."""
    scaled: NDArray[np.float64] = blstats * BLSTATS_SCALE
    return scaled.clip(-BLSTATS_CLIP, BLSTATS_CLIP).astype(np.float32)

"""Who plays the games that a dataset is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from motif.types import AnyArray


class Player(Protocol):
    """Chooses actions. The extension point for another policy."""

    name: str  # by which a game and its dataset remember it

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last game; draw all randomness of the next one from ``rng``."""

    def act(self, observation: Mapping[str, AnyArray]) -> int:
        """The index of the next action, given the observation's arrays (don't keep them)."""


class RandomPlayer:
    """Every action is equally likely at every step."""

    name = "random"

    def __init__(self, num_actions: int) -> None:
        self._num_actions = num_actions
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, observation: Mapping[str, AnyArray]) -> int:
        return int(self._rng.integers(self._num_actions))

"""Who can play any game."""

from __future__ import annotations

import numpy as np

from motif.games.game import Observation


class RandomPlayer:
    """Every action is equally likely at every step."""

    name = "random"

    def __init__(self, num_actions: int) -> None:
        self._num_actions = num_actions
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, observation: Observation) -> int:
        return int(self._rng.integers(self._num_actions))

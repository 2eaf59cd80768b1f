"""Crafter as a Gymnasium environment that says what happens and what is near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import crafter
import gymnasium
import numpy as np
from gymnasium import spaces

from motif.games.crafter.adapter import SIDE
from motif.games.crafter.screen import NAMES
from motif.messages import MESSAGE_LENGTH, encode
from motif.types import AnyArray

LONGEST = 10_000  # steps of a game, as in the package
NEAR = 2  # steps away, in each direction
AREA = (64, 64)  # of the map
TURNS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
PLAIN = {"nothing", "grass", "sand", "path", "player"}  # not worth a word


def tell_step(
    before: Mapping[str, Any], now: Mapping[str, Any], facing: str, near: Sequence[str]
) -> str:
    """What a step did, in words: achievements, inventory, what is ahead and near.

    Args:
        before, now: ``inventory`` and ``achievements``, numbers by name.
    """
    told = []
    for name, count in now["achievements"].items():
        if count > (earlier := before["achievements"].get(name, 0)):
            first = "" if earlier else " for the first time"
            told.append(f"You {name.replace('_', ' ')}{first}.")
    for name, amount in now["inventory"].items():
        if amount != (earlier := before["inventory"].get(name, amount)):
            told.append(f"Your {name.replace('_', ' ')}: {earlier} to {amount}.")
    if facing not in PLAIN:
        told.append(f"You face {facing}.")
    if near:
        told.append(f"Near: {', '.join(near)}.")
    return " ".join(told)


class CrafterTask(gymnasium.Env[Any, Any]):
    """Crafter with its own reward, or with 1 for one achievement.

    ``info`` has ``achievements`` (how many kinds, of 22) and ``score`` (the package's own reward so
    far).

    Args:
        task: an achievement; any other name: the package's own reward.
        max_steps: of a game; None: the package's 10,000.
    """

    def __init__(self, task: str, max_steps: int | None = None) -> None:
        self.observation_space = spaces.Dict(
            {
                "message": spaces.Box(0, 255, (MESSAGE_LENGTH,), np.uint8),
                "picture": spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8),
                "map": spaces.Box(0, len(NAMES) - 1, AREA, np.uint8),
            }
        )
        self._task, self._length = task, max_steps or LONGEST
        self._game: Any = None
        self._actions: Sequence[str] = crafter.Env(length=1).action_names
        self.action_space = spaces.Discrete(len(self._actions))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Begin a game; the map is first seen after a step."""
        super().reset(seed=seed)
        if self._game is None or seed is not None:
            number = int(self.np_random.integers(2**31 - 1))
            self._game = crafter.Env(size=(SIDE, SIDE), length=self._length, seed=number)
        picture = self._game.reset()
        self._before: Mapping[str, Any] = {"inventory": {}, "achievements": {}}
        self._direction, self._score = TURNS["down"], 0.0
        self._map = np.zeros(AREA, np.uint8)
        self._place = (0, 0)
        return self._observe(picture, "You begin."), {"achievements": 0, "score": 0.0}

    def step(self, action: int) -> tuple[dict[str, AnyArray], float, bool, bool, dict[str, Any]]:
        """One action."""
        picture, reward, done, seen = self._game.step(int(action))
        _, _, direction = self._actions[action].partition("move_")
        self._direction = TURNS.get(direction, self._direction)
        self._map, self._place = seen["semantic"].astype(np.uint8), tuple(seen["player_pos"])
        text = tell_step(self._before, seen, self._ahead(), self._near())
        self._before = seen
        self._score += float(reward)
        info = {
            "achievements": sum(count > 0 for count in seen["achievements"].values()),
            "score": round(self._score, 3),
        }
        achieved = False
        if self._task in seen["achievements"]:
            achieved = seen["achievements"][self._task] > 0
            reward = float(achieved)
        dead = seen["discount"] == 0
        return self._observe(picture, text), float(reward), achieved or dead, bool(done), info

    def _ahead(self) -> str:
        x, y = self._place[0] + self._direction[0], self._place[1] + self._direction[1]
        inside = 0 <= x < AREA[0] and 0 <= y < AREA[1]
        return NAMES[self._map[x, y]] if inside else NAMES[0]

    def _near(self) -> list[str]:
        x, y = self._place
        around = self._map[max(x - NEAR, 0) : x + NEAR + 1, max(y - NEAR, 0) : y + NEAR + 1]
        return sorted({NAMES[index] for index in np.unique(around)} - PLAIN)

    def _observe(self, picture: AnyArray, text: str) -> dict[str, AnyArray]:
        pixels = np.ascontiguousarray(picture.transpose(2, 0, 1))
        return {"message": encode(text), "picture": pixels, "map": self._map}

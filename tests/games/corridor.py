"""A game of one file: a corridor with a coin at one end."""

from pathlib import Path
from types import MappingProxyType

import gymnasium
import numpy as np
from gymnasium import spaces

from motif.games.captioned import CaptionedGame
from motif.games.game import TaskInfo
from motif.messages import encode


class Corridor(gymnasium.Env):
    """Ten cells; left and right; the coin lies in the last one."""

    observation_space = gymnasium.spaces.Dict(
        message=gymnasium.spaces.Box(0, 255, (256,), np.uint8)
    )
    action_space = spaces.Discrete(2)

    def __init__(self, limit):
        self.limit = limit

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = int(self.np_random.integers(5)), 0
        return {"message": encode("You wake up.")}, {"place": self.place}

    def step(self, action):
        self.place, self.steps = self.place + (1 if action else -1), self.steps + 1
        text = "You take the coin!" if self.place == 9 else f"You stand on cell {self.place}."
        if self.place < 0:
            self.place, text = 0, "You bump into the wall."
        done = self.place == 9
        ended = done or self.steps >= self.limit
        return {"message": encode(text)}, float(done), ended, False, {"place": self.place}


class CorridorGame(CaptionedGame):
    """The door to it."""

    name = "corridor"
    tasks = MappingProxyType({"Coin-v0": TaskInfo(has_success=True)})
    info_columns = ("place",)
    rules = Path(__file__).with_name("corridor.yaml")

    def make(self, task, *, max_steps=None, record=None, every=1):
        return Corridor(max_steps or 50)

"""The trace of an episode: game, step, first visit."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from motif.games.episode_trace import EpisodeTrace


class Places(gymnasium.Env):
    """Goes where the action says; the clock, in the status, never stands still."""

    observation_space = spaces.Dict(
        cells=spaces.Box(0, 9, (1,), np.int16),
        message=spaces.Box(0, 255, (4,), np.uint8),
        blstats=spaces.Box(0, 99, (27,), np.int64),
    )

    def _observation(self, place):
        self.clock += 1
        status = np.zeros(27, np.int64)
        status[[0, 20]] = place // 10, self.clock
        message = np.full(4, place % 10, np.uint8)
        return {"cells": np.array([place % 2], np.int16), "message": message, "blstats": status}

    def reset(self, **kwargs):
        self.clock = 0
        return self._observation(0), {}

    def step(self, action):
        return self._observation(action), 1.5, False, False, {"kept": True}


@pytest.mark.parametrize(
    "visits, first",
    [  # x 0 1 0 1 1, message 0 0 1 2 0, cells 0 0 1 0 0
        ("position", [1, 1, 0, 0, 0]),
        ("message", [1, 0, 1, 1, 0]),
        ("observation", [1, 0, 1, 1, 0]),
    ],
)
def test_the_first_visits_of_each_episode(visits, first):
    env = EpisodeTrace(Places(), 7, visits)
    assert env.observation_space["trace"].shape == (3,)
    for _ in range(2):
        traces = [env.reset()[0]["trace"]]
        for action in (10, 1, 12, 10):
            observation, *rest = env.step(action)
            assert env.observation_space.contains(observation)
            assert rest == [1.5, False, False, {"kept": True}]
            traces.append(observation["trace"])
        expected = [[7, step, seen] for step, seen in enumerate(first)]
        assert np.array(traces).tolist() == expected

"""Which game an observation is of, how far into it, and whether it was seen there before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from motif.blstats import BRANCH, LEVEL, X, Y
from motif.types import AnyArray, StepResult

VISITS: dict[str, Callable[[Mapping[str, AnyArray]], bytes]] = {
    # the status has a clock, and never repeats
    "observation": lambda seen: b"".join(seen[key].tobytes() for key in seen if key != "blstats"),
    "message": lambda seen: seen["message"].tobytes(),
    "position": lambda seen: seen["blstats"][[BRANCH, LEVEL, X, Y]].tobytes(),
}


class EpisodeTrace(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds ``trace`` (3,) to a policy's observations: game, step of the episode, first visit.

    Args:
        game: its number among those of the run.
        visits: what is visited, one of :data:`VISITS`.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], game: int, visits: str) -> None:
        super().__init__(env)
        space = env.observation_space
        assert isinstance(space, spaces.Dict)
        trace = spaces.Box(0, np.iinfo(np.int64).max, (3,), np.int64)
        self.observation_space = spaces.Dict({**space.spaces, "trace": trace})
        self._game, self._key = game, VISITS[visits]

    def reset(self, **kwargs: Any) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(**kwargs)
        self._step, self._visited = 0, set[int]()
        return self._traced(observation), info

    def step(self, action: int) -> StepResult:
        """One step."""
        return self.after(self.env.step(action))

    def after(self, result: StepResult) -> StepResult:
        """What the step returns, of what the environment's did."""
        observation, *rest = result
        self._step += 1
        return self._traced(observation), *rest  # type: ignore[return-value]

    def _traced(self, observation: dict[str, AnyArray]) -> dict[str, AnyArray]:
        visited = hash(self._key(observation))
        first = visited not in self._visited
        self._visited.add(visited)
        return {**observation, "trace": np.array((self._game, self._step, first))}

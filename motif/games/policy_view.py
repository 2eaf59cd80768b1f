"""A task's observations as a policy takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium

from motif.types import AnyArray, StepResult


class PolicyView(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Observations of ``space``, made by ``convert`` of the environment's own."""

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        space: gymnasium.Space[Any],
        convert: Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]],
    ) -> None:
        super().__init__(env)
        self.observation_space = space
        self._convert = convert

    def reset(self, **kwargs: Any) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(**kwargs)
        return self._convert(observation), info

    def step(self, action: int) -> StepResult:
        """One step."""
        return self.after(self.env.step(action))

    def after(self, result: StepResult) -> StepResult:
        """What the step returns, of what the environment's did."""
        observation, reward, terminated, truncated, info = result
        return self._convert(observation), reward, terminated, truncated, info

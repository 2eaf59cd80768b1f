"""A task's observations as a policy takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium

from motif.types import AnyArray


class PolicyView(gymnasium.ObservationWrapper[Any, Any, Any]):
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

    def observation(self, observation: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """What the policy reads."""
        return self._convert(observation)

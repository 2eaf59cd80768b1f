"""Any Gymnasium environment that speaks, as a game: derive, name the tasks, make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.games.game import Kinds, Observation, Player, Screen, TaskInfo
from motif.messages import MESSAGE_LENGTH
from motif.types import AnyArray

if TYPE_CHECKING:
    import gymnasium


class CaptionedGame:
    """The members of :class:`motif.games.game.GameAdapter` that most games can share.

    The policy reads the message alone. A derived class sets ``name`` and ``tasks``, defines
    ``make``, and for labels without a language model names its ``rules`` file.
    """

    name: str
    tasks: Mapping[str, TaskInfo]
    info_columns: tuple[str, ...] = ()
    more_columns: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ("message",)
    has_screen = False
    character = ""
    rules = Path("rules.yaml")
    prompts = Path("prompts")
    kinds: Kinds = MappingProxyType({})
    players: Mapping[str, Callable[[gymnasium.Env[Any, Any]], Player]] = {}

    @cached_property
    def policy_space(self) -> Any:
        """The message alone."""
        from gymnasium import spaces

        return spaces.Dict({"message": spaces.Box(0, 255, (MESSAGE_LENGTH,), np.uint8)})

    def make(
        self,
        task: str,
        *,
        max_steps: int | None = None,
        record: Path | None = None,
        every: int = 1,
        character: str | None = None,
    ) -> gymnasium.Env[Any, Any]:
        """For the derived class to define; see :class:`~motif.games.game.GameAdapter`."""
        raise NotImplementedError(f"{type(self).__name__} defines no make")

    def seed(self, env: gymnasium.Env[Any, Any], first: int, second: int) -> None:
        """By the environment's own ``reset``."""
        env.reset(seed=(first ^ second) % 2**32)

    def message(self, observation: Observation) -> bytes:
        """Of the observation's array ``message``."""
        return observation["message"].tobytes()

    def status(self, observation: Observation) -> Mapping[str, int | str]:
        """Nothing."""
        return {}

    def screen(self, observation: Observation) -> Screen | None:
        """None: there is no picture."""
        return None

    def is_over(self, observation: Observation) -> bool:
        """Never."""
        return False

    def policy_observation(self, observation: Observation) -> dict[str, AnyArray]:
        """The arrays of ``policy_space``."""
        return {"message": observation["message"].copy()}

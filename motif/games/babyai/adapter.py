"""BabyAI behind the door: read without the package installed, which playing needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.games.babyai.view import draw_view
from motif.games.captioned import CaptionedGame
from motif.games.game import SCREEN, Observation, Screen, TaskInfo, import_extra, registered_tasks
from motif.types import AnyArray

if TYPE_CHECKING:
    import gymnasium

HERE = Path(__file__).parent
CORNER = 3  # of the view among the cells


class BabyAI(CaptionedGame):
    """See :class:`motif.games.game.GameAdapter`; an agent reads the mission and what it sees."""

    name = "babyai"
    has_screen = True
    rules, prompts = HERE / "rules.yaml", HERE / "prompts"

    @cached_property
    def tasks(self) -> Mapping[str, TaskInfo]:  # type: ignore[override]
        """What the package registers, by their Gymnasium ids."""
        self._register()
        return registered_tasks("minigrid", self.name, "BabyAI-")

    def _register(self) -> None:
        """Have the tasks registered: Gymnasium 1 asks no package to, and this one waits for it."""
        minigrid = import_extra("minigrid", self.name)
        import gymnasium

        if not any(name.startswith("BabyAI-") for name in gymnasium.registry):
            minigrid.register_minigrid_envs()

    @cached_property
    def policy_space(self) -> Any:
        """The view as cells, and the message."""
        from motif.games.nethack.observations import COMPACT_SPACE

        return type(COMPACT_SPACE)({"cells": COMPACT_SPACE["cells"], **super().policy_space.spaces})

    def make(
        self, task: str, *, max_steps: int | None = None, **options: Any
    ) -> gymnasium.Env[Any, Any]:
        """The task; nothing is recorded."""
        self._register()
        import gymnasium

        from motif.games.babyai.environment import Described

        limit: dict[str, Any] = {} if max_steps is None else {"max_steps": max_steps}
        return Described(gymnasium.make(task, disable_env_checker=True, **limit))

    def screen(self, observation: Observation) -> Screen | None:
        """The view, the agent at the bottom looking up."""
        screen = np.full(SCREEN, ord(" "), np.uint8), np.zeros(SCREEN, np.int8)
        for whole, part in zip(screen, draw_view(observation["image"])):
            whole[: part.shape[0], : part.shape[1]] = part
        return screen

    def policy_observation(self, observation: Observation) -> dict[str, AnyArray]:
        """The arrays of ``policy_space``."""
        chars, colors = draw_view(observation["image"])
        rows, columns = chars.shape
        cells = np.zeros(self.policy_space["cells"].shape, np.int16)
        cells[CORNER : CORNER + rows, CORNER : CORNER + columns] = chars + 256 * colors.astype(int)
        return {"cells": cells, "message": observation["message"].copy()}

"""Crafter behind the door: read without the package installed, which playing needs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.games.captioned import CaptionedGame
from motif.games.crafter.screen import draw_map
from motif.games.game import Observation, Screen, TaskInfo, import_extra
from motif.types import AnyArray

if TYPE_CHECKING:
    import gymnasium

HERE = Path(__file__).parent
SIDE = 64  # pixels of the picture
ACHIEVEMENTS = (
    *("collect_coal", "collect_diamond", "collect_drink", "collect_iron", "collect_sapling"),
    *("collect_stone", "collect_wood", "defeat_skeleton", "defeat_zombie", "eat_cow", "eat_plant"),
    *("make_iron_pickaxe", "make_iron_sword", "make_stone_pickaxe", "make_stone_sword"),
    *("make_wood_pickaxe", "make_wood_sword", "place_furnace", "place_plant", "place_stone"),
    *("place_table", "wake_up"),
)


class Crafter(CaptionedGame):
    """See :class:`motif.games.game.GameAdapter`.

    ``CrafterReward-v1`` pays each achievement of a game once, and health; ``Crafter-wake_up-v0``
    and so on pay 1 for that achievement alone, and end with it.
    """

    name = "crafter"
    tasks: Mapping[str, TaskInfo] = {
        "CrafterReward-v1": TaskInfo(),
        **{f"Crafter-{name}-v0": TaskInfo(has_success=True) for name in ACHIEVEMENTS},
    }
    info_columns = ("achievements", "score")
    has_screen = True
    rules, prompts = HERE / "rules.yaml", HERE / "prompts"

    @cached_property
    def policy_space(self) -> Any:
        """The picture and the message."""
        from gymnasium import spaces

        picture = spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8)
        return spaces.Dict({"picture": picture, **super().policy_space.spaces})

    def make(
        self, task: str, *, max_steps: int | None = None, **options: Any
    ) -> gymnasium.Env[Any, Any]:
        """The task; nothing is recorded."""
        import_extra("crafter", self.name)
        from motif.games.crafter.environment import CrafterTask

        return CrafterTask(task.removeprefix("Crafter-").removesuffix("-v0"), max_steps)

    def screen(self, observation: Observation) -> Screen | None:
        """The map around the player."""
        return draw_map(observation["map"])

    def policy_observation(self, observation: Observation) -> dict[str, AnyArray]:
        """The arrays of ``policy_space``."""
        return {name: observation[name].copy() for name in ("picture", "message")}

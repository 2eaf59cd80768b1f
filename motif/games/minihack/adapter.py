"""MiniHack behind the door: NetHack's observations; its own tasks, rules and prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motif.games.game import Player, TaskInfo, import_extra, registered_tasks
from motif.games.nethack.adapter import NetHack

if TYPE_CHECKING:
    import gymnasium

HERE = Path(__file__).parent
NEED_MORE = ("Custom", "Boxoban", "Crossing", "MultiRoom")  # a level, maps, an old MiniGrid


class MiniHack(NetHack):
    """See :class:`motif.games.game.GameAdapter`; what is not said here is NetHack's."""

    name = "minihack"
    info_columns, more_columns = ("solved",), ()
    rules, prompts, judges = HERE / "rules.yaml", HERE / "prompts", None
    players: Mapping[str, Callable[[gymnasium.Env[Any, Any]], Player]] = {}

    @cached_property
    def tasks(self) -> Mapping[str, TaskInfo]:  # type: ignore[override]
        """What the package registers and can play by itself, by their Gymnasium ids."""
        return registered_tasks("minihack", self.name, "MiniHack-", NEED_MORE)

    def make(self, task: str, **options: Any) -> gymnasium.Env[Any, Any]:
        """The task, by its Gymnasium id, with the options of NetHack's."""
        import_extra("minihack", self.name)
        from motif.games.minihack.environment import Ends

        return Ends(super().make(task, **options))

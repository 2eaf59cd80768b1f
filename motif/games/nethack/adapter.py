"""NetHack behind the door: read without NLE installed, which :meth:`NetHack.make` needs."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motif.blstats import DEPTH, EXPERIENCE_LEVEL, GOLD, HP, HUNGER, HUNGER_WORDS
from motif.errors import ConfigError, MissingPackageError
from motif.games.game import Observation, Player, Screen, TaskInfo
from motif.games.nethack.kinds import KINDS
from motif.games.nethack.tasks import TASKS
from motif.types import AnyArray

if TYPE_CHECKING:
    import gymnasium

HERE = Path(__file__).parent
ROLES = ["arc", "bar", "cav", "hea", "kni", "mon", "pri", "rog", "ran", "sam", "tou", "val", "wiz"]
CHARACTER = re.compile(
    rf"@|({'|'.join(ROLES)})(-(hum|elf|dwa|gno|orc))?(-(law|neu|cha))?(-(mal|fem))?"
)
PLAYER_KEYS = ("glyphs",)  # shown to a scripted player, not kept


class NetHack:
    """See :class:`motif.games.game.GameAdapter`."""

    name = "nethack"
    tasks: Mapping[str, TaskInfo] = {
        name: TaskInfo(has_success=task.success is not None) for name, task in TASKS.items()
    }
    info_columns: tuple[str, ...] = ("score", "dlvl", "gold", "xlvl", "scout")
    more_columns: tuple[str, ...] = ("turns", "deepest", "progression")
    arrays = ("message", "blstats", "tty_chars", "tty_colors")
    has_screen = True
    character = "mon-hum-neu-mal"  # NLE's default; a neutral human male monk
    rules, prompts, kinds = HERE / "rules.yaml", HERE / "prompts", KINDS
    judges: Path | None = HERE / "judges.yaml"

    @cached_property
    def players(self) -> Mapping[str, Callable[[gymnasium.Env[Any, Any]], Player]]:
        """By name, as in ``--policy``."""
        from motif.games.nethack.explorer import ExplorerPlayer

        return {"explorer": lambda env: ExplorerPlayer([int(k) for k in env.unwrapped.actions])}

    @cached_property
    def policy_space(self) -> Any:
        """Cells of the screen around the hero, status, message."""
        from motif.games.nethack.observations import COMPACT_SPACE

        return COMPACT_SPACE

    def make(
        self,
        task: str,
        *,
        max_steps: int | None = None,
        record: Path | None = None,
        every: int = 1,
        character: str | None = None,
    ) -> gymnasium.Env[Any, Any]:
        """The task, by its Gymnasium id; see :class:`~motif.games.game.GameAdapter`."""
        if character is not None and not CHARACTER.fullmatch(character):
            raise ConfigError(
                f"no character {character!r}; one is named by role, race, alignment and gender, as "
                f"{self.character} or val-hum-law-fem; roles: {' '.join(ROLES)}; @ is any of them"
            )
        try:
            import gymnasium
        except ImportError:
            raise MissingPackageError(
                "NetHack needs gymnasium, which is not installed; run: pip install -e '.[rl]'"
            ) from None
        # Not by gymnasium.make's arguments: it would take max_episode_steps for itself.
        spec = copy.deepcopy(gymnasium.spec(task))
        spec.kwargs["observation_keys"] = (*self.arrays, *PLAYER_KEYS)
        if character is not None:
            spec.kwargs["character"] = character
        if max_steps is not None:
            spec.kwargs["max_episode_steps"] = max_steps
        if record is not None:
            try:
                str(record).encode()
            except UnicodeEncodeError:  # of a locale that lacks a character of the path
                raise ConfigError(
                    f"NetHack can't record into {record}: this locale can't name the folder; "
                    "choose another, or set LC_ALL=C.UTF-8"
                ) from None
            spec.kwargs |= {"save_ttyrec_every": every, "savedir": str(record)}
        return gymnasium.make(spec, disable_env_checker=True)

    def seed(self, env: gymnasium.Env[Any, Any], first: int, second: int) -> None:
        """NLE's two seeds."""
        env.unwrapped.seed(first, second, reseed=False)  # type: ignore[attr-defined]

    def message(self, observation: Observation) -> bytes:
        """As NLE has it."""
        return observation["message"].tobytes()

    def status(self, observation: Observation) -> Mapping[str, int | str]:
        """Health, gold, depth, experience, hunger."""
        status = observation["blstats"].tolist()
        return {
            "hit points": status[HP],
            "gold pieces": status[GOLD],
            "dungeon levels": status[DEPTH],
            "experience levels": status[EXPERIENCE_LEVEL],
            "hunger": HUNGER_WORDS[status[HUNGER]] or "none",
        }

    def screen(self, observation: Observation) -> Screen | None:
        """The terminal's."""
        return observation["tty_chars"], observation["tty_colors"]

    def is_over(self, observation: Observation) -> bool:
        """By then message and status are zeros, and the screen is the list of high scores."""
        return not observation["blstats"].any()

    def policy_observation(self, observation: Observation) -> dict[str, AnyArray]:
        """The arrays of ``policy_space``."""
        return self._compact(observation)

    @cached_property
    def _compact(self) -> Callable[[Observation], dict[str, AnyArray]]:
        from motif.games.nethack.observations import compact_observation

        return compact_observation

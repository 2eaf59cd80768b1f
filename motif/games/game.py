"""The door to a game: all that the stages know of one."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from motif.errors import ConfigError, MissingPackageError
from motif.extensions import make_extension
from motif.messages import MESSAGE_LENGTH
from motif.types import AnyArray

if TYPE_CHECKING:
    import gymnasium

MOST_NAMED = 12  # tasks, in an error
Observation = Mapping[str, AnyArray]
SCREEN = (24, 80)  # rows and columns
Screen = tuple[AnyArray, AnyArray]  # characters and colours (16), of :data:`SCREEN` each


class Player(Protocol):
    """Chooses actions. The extension point for another policy."""

    name: str  # by which a game and its dataset remember it

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last game; draw all randomness of the next one from ``rng``."""

    def act(self, observation: Observation) -> int:
        """The index of the next action, given the observation's arrays (don't keep them)."""


@dataclass(frozen=True)
class TaskInfo:
    """What aggregates and reports need to know of a task."""

    has_success: bool = False  # it is solved by a positive return, or as info["solved"] says


Kinds = Mapping[str, re.Pattern[str]]  # of messages, by name


def kinds_of(kinds: Kinds, text: str) -> list[str]:
    """The kinds that a message is of; often none."""
    return [name for name, pattern in kinds.items() if pattern.search(text)]


def count_kinds(kinds: Kinds, seen: Mapping[str, int]) -> dict[str, int]:
    """How often messages of each kind were seen, given how often each message was."""
    counts = dict.fromkeys(kinds, 0)
    for text, times in seen.items():
        for kind in kinds_of(kinds, text):
            counts[kind] += times
    return counts


class GameAdapter(Protocol):
    """One game. ``motif.games.captioned.CaptionedGame`` has a default for most of it.

    It may have ``judges``, too, the file of pairs that ``scripts.evaluate_annotator`` asks about.
    """

    name: str
    tasks: Mapping[str, TaskInfo]  # by id, as in --root_env; the first is stage 0's default
    info_columns: tuple[str, ...]  # of ``info``: in episodes.csv and what playing prints
    more_columns: tuple[str, ...]  # of ``info`` at the end: further ones for statistics
    arrays: tuple[str, ...]  # of an observation, kept in a dataset; ``message`` is one
    has_screen: bool  # whether playback has a picture
    character: str  # who is played, as a dataset remembers it
    rules: Path  # the patterns of ``--annotator-type rules``
    prompts: Path  # folder of the prompt files, one for each version
    kinds: Kinds  # to say what a reward likes
    players: Mapping[str, Callable[[gymnasium.Env[Any, Any]], Player]]  # scripted ones
    policy_space: Any  # gymnasium.spaces.Dict: what the policy reads

    def make(
        self,
        task: str,
        *,
        max_steps: int | None = None,
        record: Path | None = None,
        every: int = 1,
        character: str | None = None,
    ) -> gymnasium.Env[Any, Any]:
        """The task as an environment whose observations are mappings with ``message`` in them.

        Args:
            max_steps: agent steps after which a game is ended; None: the task's own limit.
            record: a folder for recordings, of one game in ``every``.
            character: who is played; passed on only where it is asked for.
        """

    def seed(self, env: gymnasium.Env[Any, Any], first: int, second: int) -> None:
        """Decide the next game by two numbers below 2**62."""

    def message(self, observation: Observation) -> bytes:
        """The 256 bytes, NUL-padded."""

    def status(self, observation: Observation) -> Mapping[str, int | str]:
        """By name, what ``--caption change`` tells of; counts are named in the plural."""

    def screen(self, observation: Observation) -> Screen | None:
        """For playback, (24, 80) each; None: there is no picture."""

    def is_over(self, observation: Observation) -> bool:
        """Whether the observation shows what comes after a game, not the game."""

    def policy_observation(self, observation: Observation) -> dict[str, AnyArray]:
        """What the policy reads, as fresh arrays: ``policy_space``."""


SHIPPED = {
    "nethack": "motif.games.nethack.adapter:NetHack",
    "minihack": "motif.games.minihack.adapter:MiniHack",
    "crafter": "motif.games.crafter.adapter:Crafter",
    "babyai": "motif.games.babyai.adapter:BabyAI",
}
GAME_HELP = f"the game: {', '.join(SHIPPED)}, or module:Adapter of your own"
CAPTION_HELP = (
    "what is judged, rewarded and read of a step: message (the paper's), change (with the one "
    "before and changes of status), or history:K (the last K messages)"
)


def find_game(name: str) -> GameAdapter:
    """The game of ``--game``: one of ours, or ``module:Adapter`` of yours.

    Raises:
        ConfigError: there is no such game, or it can't be imported.
    """
    made = make_extension("--game", name, SHIPPED)
    # Not hasattr: members may import what this stage does without, and are asked for as needed.
    missing = [name for name in _MEMBERS if inspect.getattr_static(made, name, None) is None]
    if missing:
        raise ConfigError(f"--game {name} lacks {', '.join(missing)} (see motif/games/game.py)")
    return made  # type: ignore[no-any-return]


_MEMBERS = (*GameAdapter.__annotations__, *(n for n in vars(GameAdapter) if n[0] != "_"))


def open_game(
    game: GameAdapter, task: str, caption: str = "message", **options: Any
) -> gymnasium.Env[Any, Any]:
    """What :meth:`GameAdapter.make` makes, its messages told as ``--caption`` says.

    Raises:
        ConfigError: messages have another size than 256 bytes, or there is no such ``caption``.
        MissingPackageError: a package that the game needs is not installed.
    """
    env = game.make(task, **options)
    space: Any = env.observation_space
    message: Any = space.spaces.get("message") if hasattr(space, "spaces") else None
    if getattr(message, "shape", None) != (MESSAGE_LENGTH,) or message.dtype != np.uint8:
        raise ConfigError(
            f"--game {game.name}: observations need a message of {MESSAGE_LENGTH} bytes, but this "
            f"is {message}; motif.messages.encode cuts or pads a text, for "
            f"gymnasium.spaces.Box(0, 255, ({MESSAGE_LENGTH},), 'uint8')"
        )
    if caption == "message":
        return env
    from motif.games.caption import Captions

    return Captions(env, game, caption)


def import_extra(package: str, extra: str) -> Any:
    """A package that only the game named ``extra`` needs.

    Raises:
        MissingPackageError: it, or what it needs, is not installed.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of theirs, about their own dependencies
            return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(
            f"--game {extra} needs {error.name}, which is not installed; "
            f"run: pip install -e '.[rl,{extra}]'"
        ) from None


def registered_tasks(
    package: str, extra: str, prefix: str, without: Sequence[str] = ()
) -> dict[str, TaskInfo]:
    """The tasks that a package registers with Gymnasium, but for some; each is solved or not.

    Raises:
        MissingPackageError: it is not installed.
    """
    import_extra(package, extra)
    names = import_extra("gymnasium", extra).registry
    return {
        name: TaskInfo(has_success=True)
        for name in names
        if name.startswith(prefix) and not any(part in name for part in without)
    }


def check_task(game: GameAdapter, task: str, flag: str) -> None:
    """Refuse a task that ``game`` does not have.

    Raises:
        ConfigError: naming those that there are.
    """
    if task not in game.tasks:
        names, more = list(game.tasks), max(len(game.tasks) - MOST_NAMED, 0)
        close = difflib.get_close_matches(task, names, MOST_NAMED) if more else names
        named = ", ".join(close or names[:MOST_NAMED]) + (f" and {more} more" if more else "")
        raise ConfigError(f"unknown {flag} {task!r}; there are: {named}")

"""Play whole games of NetHack and keep what a dataset needs of each observation."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from motif.blstats import DEPTH, TURN
from motif.errors import ConfigError
from motif.play.players import Player
from motif.types import AnyArray

OBSERVATION_KEYS = ("message", "blstats", "tty_chars", "tty_colors")
PLAYER_KEYS = ("glyphs",)  # shown to the player, not kept
CHARACTER = "mon-hum-neu-mal"  # NLE's default; a neutral human male monk


@dataclass(frozen=True)
class Game:
    """One game: T observations and how it ended."""

    arrays: dict[str, AnyArray]  # OBSERVATION_KEYS and "rewards": (T, ...)
    score: int  # as the status line last showed it
    turns: int
    experience_level: int
    character: str  # as NLE writes it: role-race-alignment-gender
    player: str  # the name of who played it

    def __len__(self) -> int:
        return len(self.arrays["rewards"])

    @property
    def deepest_level(self) -> int:
        """The greatest depth reached, in levels below the surface."""
        return int(self.arrays["blstats"][:, DEPTH].max())


def make_environment(task: str, max_episode_steps: int) -> Any:
    """The Gymnasium environment ``task``, without its intrinsic reward.

    Raises:
        MissingPackageError: NLE or Gymnasium is not installed.
        ConfigError: there is no such task.
    """
    from motif.games.nethack import TASKS

    if task not in TASKS:
        raise ConfigError(f"unknown --task {task!r}; there are: {', '.join(TASKS)}")
    import gymnasium

    # Not by gymnasium.make's arguments: it would take max_episode_steps for itself.
    spec = copy.deepcopy(gymnasium.spec(task))
    spec.kwargs |= {
        "observation_keys": (*OBSERVATION_KEYS, *PLAYER_KEYS),
        "character": CHARACTER,
        "max_episode_steps": max_episode_steps,
    }
    return gymnasium.make(spec)


def play_game(environment: Any, player: Player, seed: int, index: int) -> Game:
    """Play game number ``index`` of the run seeded with ``seed`` to its end.

    The game and the player depend on (seed, index) alone, whatever was played before. On top of
    these NetHack reads the date (moon phase, Friday the 13th), so the same game comes out again
    on the same date only.

    The reset observation is kept, with reward 0, and so are empty messages. What NLE returns on
    the step that ends a game is not: the game is over by then, its message and status are all
    zeros and its screen is the list of high scores.
    """
    core, disp = np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(2).tolist()
    environment.unwrapped.seed(core, disp, reseed=False)
    player.reset(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 1))))
    steps: dict[str, list[Any]] = {key: [] for key in (*OBSERVATION_KEYS, "rewards")}

    def keep(observation: dict[str, AnyArray], reward: float) -> None:
        for key in OBSERVATION_KEYS:
            steps[key].append(observation[key].copy())  # NLE reuses its buffers
        steps["rewards"].append(reward)

    observation, _ = environment.reset()
    keep(observation, 0.0)
    playing = True
    while playing:
        observation, reward, ended, _, info = environment.step(player.act(observation))
        playing = not ended and bool(observation["blstats"].any())
        if playing:
            keep(observation, float(reward))
    arrays = {key: np.stack(steps[key]) for key in OBSERVATION_KEYS}
    arrays["rewards"] = np.array(steps["rewards"], dtype=np.float32)
    return Game(
        arrays,
        score=info["score"],
        turns=int(arrays["blstats"][-1, TURN]),
        experience_level=info["xlvl"],
        character=CHARACTER,
        player=player.name,
    )

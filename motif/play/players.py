"""Who can play any game, and how a trained player is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from motif.cli import command
from motif.errors import CheckpointError
from motif.games.game import Observation


class RandomPlayer:
    """Every action is equally likely at every step."""

    name = "random"

    def __init__(self, num_actions: int) -> None:
        self._num_actions = num_actions
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, observation: Observation) -> int:
        return int(self._rng.integers(self._num_actions))


def check_player(player: Any, **expected: str) -> None:
    """Refuse a policy that was trained on another game, or reads other captions.

    Raises:
        CheckpointError: naming the flag.
    """
    for name, value in expected.items():
        if (trained := getattr(player, name, value)) != value:
            raise CheckpointError(
                f"{player.name} was trained with --{name} {trained}, not {value}; give --{name} "
                f"{trained}, or name another run"
            )


def run_and_steps(checkpoint: str) -> tuple[Path, int | None]:
    """The run folder and the environment steps (None: the last) that ``RUN[@STEPS]`` names.

    Raises:
        CheckpointError: there is no such folder.
    """
    run, _, steps = checkpoint.rpartition("@")
    if not (run and steps.isdecimal()) or Path(checkpoint).is_dir():
        run, steps = checkpoint, ""
    if not Path(run).is_dir():
        raise CheckpointError(
            f"no RL run in {run}; train one with {command('agent')}, "
            "or let a scripted player play: random or explorer"
        )
    return Path(run), int(steps) if steps else None

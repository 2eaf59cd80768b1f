"""An RL run folder as results see it: its settings and its games."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motif.cli import command
from motif.data_files import read_json
from motif.errors import CheckpointError
from motif.games.game import GameAdapter, find_game
from motif.pairs_dataset import ORIGIN
from motif.results.episodes import (
    Comparison,
    FloatArray,
    compare_fifths,
    order_of_start,
    read_episodes,
)

ADDED_LATER: dict[str, Any] = {
    **ORIGIN,
    "bonus": "",
    "bonus_reward": 0.0,
    "online": "",
}  # what older runs did


@dataclass(frozen=True)
class Run:
    """One RL run: ``config.json`` and ``episodes.csv`` of its folder."""

    name: str
    config: Mapping[str, Any]
    episodes: Mapping[str, FloatArray]

    @property
    def task(self) -> str:
        """The task that it was trained on."""
        return str(self.config.get("root_env", "?"))

    @property
    def method(self) -> str:
        """``motif``, ``intrinsic_only`` or ``extrinsic_only``, from the coefficients.

        With a bonus its name stands in the place of the task's reward alone (``rnd``; ``rnd_only``
        without the task's), or behind (``motif_rnd``); so does the kind of a reward that was learnt
        while training (``motif_retrieval``).
        """
        bonus = str(self.config.get("bonus", "")).rpartition(":")[2]
        only = "" if self.config.get("extrinsic_reward") else "_only"
        if not self.config.get("llm_reward"):
            return f"{bonus}{only}" if bonus else "extrinsic_only"
        parts = ("intrinsic_only" if only else "motif", self.config.get("online"), bonus)
        return "_".join(filter(None, parts))

    @property
    def network(self) -> str:
        """The policy's: the paper's or another."""
        return str(self.config.get("encoder_custom", "?"))

    @property
    def game(self) -> GameAdapter:
        """The game that it plays."""
        return find_game(self.config.get("game", ADDED_LATER["game"]))

    @property
    def has_success(self) -> bool:
        """Whether its task can be solved, or only be played well."""
        known = self.game.tasks.get(self.task)
        return known is not None and known.has_success

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Whether each game was, of a task that :attr:`has_success`."""
        return np.asarray(self.episodes.get("solved", self.episodes["return"]) > 0)

    @property
    def steps(self) -> int:
        """Environment steps when the last game ended."""
        return int(self.episodes["env_steps"].max(initial=0))

    def change(self, column: str) -> Comparison | None:
        """First fifth of the games against the last, by the order in which they began."""
        envs = self.config.get("num_workers", 1) * self.config.get("num_envs_per_worker", 1)
        began = order_of_start(dict(self.episodes), envs)
        return compare_fifths(self.episodes[column], np.random.default_rng(0), began)


def read_run(folder: Path) -> Run:
    """Read a run folder, without Sample Factory.

    Raises:
        CheckpointError: it holds no run, or a damaged one.
    """
    config = read_run_config(folder)
    name = config.get("experiment") or folder.name
    return Run(str(name), config, read_episodes(folder / "episodes.csv"))


def read_run_config(folder: Path) -> dict[str, Any]:
    """The settings that an RL run was trained with.

    Raises:
        CheckpointError: the folder holds no RL run, or its ``config.json`` is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        train = command("agent", train_dir=folder.parent, experiment=folder.name)
        raise CheckpointError(
            f"no RL run in {folder} (config.json is missing); train one: {train} …"
        )
    way_out = "restore it, or delete it and give scripts.main all the flags of the run again"
    return ADDED_LATER | read_json(path, error=CheckpointError, way_out=way_out)

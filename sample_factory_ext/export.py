"""The last policy of an RL run as a model to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sample_factory.utils.attr_dict import AttrDict

from motif.atomic_write import atomic_write, write_json
from motif.cli import command
from motif.errors import CheckpointError
from motif.exported_model import portable
from motif.results.episodes import read_episodes
from sample_factory_ext.parameters import DEFAULTS, released_name
from sample_factory_ext.resuming import describe_reward
from sample_factory_ext.run_folder import (
    EPISODE_COLUMNS,
    policy_checkpoints,
    read_policy_checkpoint,
    read_run_config,
)

# Settings of the machine or of one command line, and what stands in their place. The first two are
# overridden by where a copy lies, once it is trained further.
NEUTRAL: dict[str, Any] = {
    "train_dir": DEFAULTS["train_dir"],
    "experiment": "",
    "save_dir": "",
    "cli_args": {},
    "command_line": "",
    "git_repo_name": "",
    "wandb_user": None,
    "wandb_group": None,
}


def export_policy(
    run_folder: Path, folder: Path, *, reward_dir: str, half_precision: bool
) -> dict[str, Any]:
    """Write the policy of ``run_folder`` into ``folder``, as files that ``visualize`` reads.

    Args:
        reward_dir: the exported reward model that the run was trained with; empty if with none.
        half_precision: store weights as float16, half the size; they are float32 again once loaded.

    Returns:
        What made it and how its games went, for ``model.json``.

    Raises:
        CheckpointError: the run, its policy or its ``episodes.csv`` is missing or damaged.
    """
    config = read_run_config(run_folder)
    if config.llm_reward and not reward_dir:
        raise CheckpointError(
            f"{run_folder} was trained with the reward model {config.reward_dir}; export that one "
            "too, and name it with --reward_dir"
        )
    checkpoint = read_policy_checkpoint(run_folder)
    name = list(policy_checkpoints(run_folder).values())[-1].name
    if half_precision:
        checkpoint["model"] = {key: _halved(key, w) for key, w in checkpoint["model"].items()}
    checkpoint["optimizer"] = {**checkpoint["optimizer"], "state": {}}
    with atomic_write(folder / "checkpoint_p0" / name) as temporary:
        torch.save(checkpoint, temporary)
    reward = {"reward_dir": reward_dir, "checkpoint_num": 0}
    reward["reward_model"] = describe_reward(AttrDict({**config, **reward}))
    write_json(folder / "config.json", {**config, **NEUTRAL, **reward})
    return {
        "kind": "policy",
        "command": command("agent", **_given(config, reward_dir)),
        "seed": config.seed,
        "task": config.root_env,
        "reward_dir": reward_dir or None,
        "trained_at_commit": config.get("git_hash"),
        "weights": "float16" if half_precision else "float32",
        "figures": {"env_steps": int(checkpoint["env_steps"]), **last_games(run_folder)},
    }


def last_games(run_folder: Path) -> dict[str, float]:
    """How many games the run finished, and the means over the last fifth of them to end."""
    episodes = read_episodes(run_folder / "episodes.csv")
    games = len(episodes["return"])
    last = -(-games // 5)
    means = {
        f"mean_{name}": round(float(episodes[name][-last:].mean()), 3)
        for name in EPISODE_COLUMNS[1:]
        if games
    }
    return {"games": games, "last_games": last, **means}


def _halved(name: str, weights: torch.Tensor) -> torch.Tensor:
    if weights.dtype != torch.float32:
        return weights
    halved = weights.half()
    if not halved.isfinite().all():
        raise CheckpointError(
            f"{name} holds weights that float16 cannot; leave --half_precision out"
        )
    return halved


def _given(config: Any, reward_dir: str) -> dict[str, Any]:
    """The flags of the run's command line, by the names that ``scripts.main --help`` puts first."""
    given = dict(config.get("cli_args", {}))
    given.update({key: portable(given[key]) for key in ("train_dir", "save_dir") if key in given})
    if "reward_dir" in given:
        given["reward_dir"] = reward_dir
    return {released_name(key): value for key, value in given.items()}

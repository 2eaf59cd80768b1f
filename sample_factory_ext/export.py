"""The last policy of an RL run as a model to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sample_factory.utils.attr_dict import AttrDict

from motif.cli import command
from motif.errors import CheckpointError
from motif.exported_model import Description, ExportConfig, portable
from motif.results.episodes import read_episodes
from motif.reward.checkpoint import load_reward_model
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


def describe_policy(config: ExportConfig) -> Description:
    """The last policy of an RL run, what made it and how its games went."""
    settings = read_run_config(config.run)
    if settings.llm_reward and not config.reward_dir:
        raise CheckpointError(
            f"{config.run} was trained with the reward model {settings.reward_dir}; export that "
            "one too, and name it with --reward_dir"
        )
    if config.reward_dir:
        load_reward_model(config.reward_dir)
    env_steps = int(read_policy_checkpoint(config.run)["env_steps"])
    reward = {"reward_dir": config.reward_dir, "checkpoint_num": 0, "online": ""}
    reward["reward_model"] = describe_reward(AttrDict({**settings, **reward}))
    origin = {
        "kind": "policy",
        "command": command("agent", **_given(settings, config.reward_dir)),
        "seed": settings.seed,
        "task": settings.root_env,
        "network": settings.encoder_custom,
        "reward_dir": config.reward_dir or None,
        "trained_at_commit": settings.get("git_hash"),
        "weights": "float16" if config.half_precision else "float32",
        "figures": {"env_steps": env_steps, **last_games(config.run)},
    }
    checkpoint, where = list(policy_checkpoints(config.run).values())[-1], config.output
    use = f"watch it: {command('watch', train_dir=where.parent, experiment=where.name)}"
    return Description(checkpoint, {**settings, **NEUTRAL, **reward}, origin, use)


def last_games(run_folder: Path) -> dict[str, float]:
    """How many games the run finished, and the means over the last fifth of them to end."""
    episodes = read_episodes(run_folder / "episodes.csv")
    games = len(episodes["return"])
    last = -(-games // 5)
    columns = EPISODE_COLUMNS[1:] if games else ()
    means = {f"mean_{name}": round(float(episodes[name][-last:].mean()), 3) for name in columns}
    return {"games": games, "last_games": last, **means}


def _given(config: Any, reward_dir: str) -> dict[str, Any]:
    """The flags of the run's command line, by the names that ``scripts.main --help`` puts first."""
    given = dict(config.get("cli_args", {}))
    given |= {key: portable(given[key]) for key in ("train_dir", "save_dir") if key in given}
    given |= {key: reward_dir for key in ("reward_dir",) if key in given}
    return {released_name(key): value for key, value in given.items()}

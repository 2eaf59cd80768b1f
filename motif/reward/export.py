"""The last checkpoint of a reward run as a model to ship."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from motif.atomic_write import write_json
from motif.cli import command
from motif.errors import CheckpointError
from motif.exported_model import portable
from motif.messages import MESSAGE_LENGTH
from motif.reward.checkpoint import find_checkpoint, read_checkpoint, save_checkpoint
from motif.reward.config import RewardTrainingConfig
from motif.reward.metrics import empty_history

PATHS = ("dataset_dir", "train_dir")


def export_reward(run_folder: Path, folder: Path) -> dict[str, Any]:
    """Write the model of ``run_folder`` into ``folder``, as files that ``load_reward_model`` reads.

    The weights, mean, variance and quantiles are the run's, bit by bit. Left out are the
    optimiser's state, the history, and the training messages, whose rewards the weights give again.

    Returns:
        What made it, for ``model.json``.

    Raises:
        CheckpointError: there is no checkpoint, it is damaged, or it was imported.
    """
    path = find_checkpoint(run_folder)
    content = read_checkpoint(path)
    if content["optimizer"] is None:
        raise CheckpointError(
            f"{path} was imported and holds nothing but the model already; use its folder as it is"
        )
    config = dict(content["config"])
    config.update({name: portable(config[name]) for name in PATHS})
    exported = {
        **content,
        "config": config,
        "optimizer": {**content["optimizer"], "state": {}},
        "history": empty_history(),
        "train_messages": torch.empty((0, MESSAGE_LENGTH), dtype=torch.uint8),
        "train_rewards": torch.empty(0),
    }
    save_checkpoint(folder, exported)
    write_json(folder / "cfg.json", config)
    return {
        "kind": "reward",
        "command": command("reward", **_given(config)),
        "seed": config["seed"],
        "annotator": config["annotator"],
        "epochs": content["epoch"],
    }


def _given(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that differ from their defaults, and those that a reader looks for."""
    always = ("dataset_dir", "annotator", "batch_size", "reward_lr", "num_epochs", "seed")
    return {
        field.name: config[field.name]
        for field in fields(RewardTrainingConfig)
        if field.name in config and (field.name in always or config[field.name] != field.default)
    }

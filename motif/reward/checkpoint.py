"""Reward checkpoints: weights with the statistics that belong to them, in one file.

``<run folder>/checkpoint_p0/checkpoint_<iteration>.pth`` holds plain types and tensors: ``model``,
``optimizer``, ``config``, ``iteration``, ``epoch``, ``reward_mean``, ``reward_var``, ``quantiles``,
``train_messages`` and their ``train_rewards`` (not normalised), ``history`` and ``fingerprint``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motif.cli import command
from motif.errors import CheckpointError, ConfigError
from motif.messages import keys
from motif.pairs_dataset import ORIGIN
from motif.reward.encoder import EncoderSettings
from motif.reward.ensemble import pessimistic
from motif.reward.model import RewardModel
from motif.reward.statistics import normalise
from motif.torch_file import read_torch_file, write_torch_file
from motif.types import AnyArray, MessageArray

CHECKPOINT_FOLDER = "checkpoint_p0"
CONTENT = (
    *("model", "optimizer", "config", "iteration", "epoch", "reward_mean", "reward_var"),
    *("quantiles", "train_messages", "train_rewards", "history", "fingerprint"),
)
RELEASE_CONTENT = ("num_iter", "model", "reward_mean", "reward_var")
RESTORE = "restore it, or delete it to fall back to the checkpoint before"
ROWS_AT_ONCE = 4096  # messages in one forward pass without gradient
# What a reward is: by default the score of a preference model. Labels made while training
# (docs/online.md) may also be paid as they are, 0 or 1: a classifier's, or those of a table.
RANKING, CLASSIFICATION, RETRIEVAL = "ranking", "classification", "retrieval"


@dataclass(frozen=True)
class LoadedReward:
    """A trained reward model with the statistics that normalise it."""

    model: RewardModel
    mean: float
    variance: float
    quantiles: Mapping[float, float]  # of the normalised reward, over distinct training messages
    train_messages: MessageArray  # (U, 256), distinct; none for an imported checkpoint
    train_rewards: NDArray[np.float32]  # (U,) normalised rewards of them
    config: Mapping[str, Any]  # the settings it was trained with
    fingerprint: str  # of the pairs and labels it was trained on; empty for an imported checkpoint
    path: Path

    def score(
        self, messages_UC: MessageArray, blstats: AnyArray | None = None
    ) -> NDArray[np.float32]:
        """Normalised rewards (U,) of messages (U, 256) uint8.

        Args:
            blstats: (U, 27) float32, scaled by ``motif.blstats.scale_blstats``; only for a model
                that reads them.
        """
        if self.kind == RETRIEVAL:
            known = [self._table.get(key, 0.0) for key in keys(messages_UC)]
            return np.array(known, dtype=np.float32)
        heads_UK = self.heads(messages_UC, blstats)
        rewards = normalise(
            pessimistic(heads_UK, self.model.penalty).numpy(), self.mean, self.variance
        )
        return (rewards > 0).astype(np.float32) if self.kind == CLASSIFICATION else rewards

    @property
    def kind(self) -> str:
        """What its rewards are: :data:`RANKING`, or 0 and 1."""
        return str(self.config.get("online", RANKING))

    @cached_property
    def _table(self) -> dict[bytes, float]:
        return dict(zip(keys(self.train_messages), self.train_rewards.tolist()))

    def heads(self, messages_UC: MessageArray, blstats: AnyArray | None = None) -> Tensor:
        """What each head says (U, K), not normalised, of the same arguments; on the CPU."""
        device = self.model.head.weight.device
        heads_UK = torch.empty(len(messages_UC), self.model.head.out_features)
        with torch.inference_mode():
            for start in range(0, len(messages_UC), ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                messages = torch.tensor(messages_UC[part], device=device)
                status = None if blstats is None else torch.tensor(blstats[part], device=device)
                heads_UK[part] = self.model.heads(messages, status).cpu()
        return heads_UK

    def threshold(
        self, quantile: float, value: float | None = None, *, normalised: bool = True
    ) -> float:
        """The reward at ``quantile``, which must be a stored one; 0: minus infinity, no threshold.

        Args:
            value: the threshold itself, in deviations, instead of a quantile's.
            normalised: whether it is for rewards in deviations, or for raw ones.

        In the rewards' own precision: the median is often the reward of one message, which it bars.
        Rewards of 0 and 1 need none.
        """
        if quantile == 0 and value is None:
            return -np.inf
        if self.kind != RANKING:
            return 0.0
        if value is None:
            value = self._at(quantile)
        threshold = np.float32(value)
        if not normalised:
            threshold = threshold * np.float32(self.variance**0.5) + np.float32(self.mean)
        return float(threshold)

    def _at(self, quantile: float) -> float:
        for level, value in self.quantiles.items():
            if abs(level - quantile) < 1e-9:
                return value
        stored = ", ".join(f"{level:.2f}" for level in self.quantiles)
        raise CheckpointError(
            f"--eps_threshold_quantile {quantile}: {self.path} stores the quantiles {stored}; "
            "choose one of them, or 0 for no threshold"
        )


def list_checkpoints(run_folder: str | Path) -> dict[int, Path]:
    """The checkpoints of a run folder by iteration, in ascending order."""
    found = {}
    for path in (Path(run_folder) / CHECKPOINT_FOLDER).glob("checkpoint_*.pth"):
        if match := re.fullmatch(r"checkpoint_(\d+)", path.stem):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def save_checkpoint(run_folder: Path, content: Mapping[str, Any], *, keep: int = 0) -> Path:
    """Write a checkpoint whole, then remove all but the newest ``keep`` (0: remove none)."""
    path = run_folder / CHECKPOINT_FOLDER / f"checkpoint_{content['iteration']}.pth"
    write_torch_file(path, {name: content[name] for name in CONTENT})
    if keep:
        for old in list(list_checkpoints(run_folder).values())[:-keep]:
            old.unlink(missing_ok=True)
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint file of ours, on the CPU; its numbers are finite."""
    content = read_torch_file(path, error=CheckpointError, way_out=RESTORE)
    if set(CONTENT) <= set(content):
        if wrong := not_finite(content):
            raise CheckpointError(
                f"{path} holds no finite {wrong}; choose an earlier checkpoint with "
                "--checkpoint_num, or train again with a smaller --reward_lr"
            )
        return content
    if set(RELEASE_CONTENT) <= set(content):
        convert = command("import", release_dir=path.parent.parent)
        raise CheckpointError(f"{path} was made by the original release; import it: {convert}")
    missing = ", ".join(name for name in CONTENT if name not in content)
    raise CheckpointError(f"{path} is no reward checkpoint: it lacks {missing}")


def not_finite(content: Mapping[str, Any]) -> str:
    """The numbers of a checkpoint that are infinite or NaN, by name; empty if none are."""
    numbers = {"weights": content["model"].values(), "quantiles": content["quantiles"].values()}
    single = {"reward_mean": "mean", "reward_var": "variance", "train_rewards": "rewards"}
    numbers |= {name: [content[key]] for key, name in single.items()}
    return ", ".join(
        name
        for name, values in numbers.items()
        if not all(torch.as_tensor(value).isfinite().all() for value in values)
    )


def find_checkpoint(run_folder: str | Path, checkpoint_num: int = 0) -> Path:
    """The file of iteration ``checkpoint_num``; 0 is the last one."""
    run_folder = Path(run_folder)
    checkpoints = list_checkpoints(run_folder)
    if not checkpoints:
        what = f"reward folder {run_folder}"
        if run_folder.is_dir():
            there = ", ".join(sorted(path.name for path in run_folder.iterdir())) or "nothing"
            what = f"reward checkpoint in {run_folder / CHECKPOINT_FOLDER} (in {run_folder} there "
            what += f"is: {there})"
        train = command("reward", train_dir=run_folder.parent, experiment=run_folder.name)
        raise CheckpointError(f"no {what}; train one: {train}")
    if checkpoint_num == 0:
        return list(checkpoints.values())[-1]
    if checkpoint_num not in checkpoints:
        there = ", ".join(str(iteration) for iteration in checkpoints)
        raise CheckpointError(
            f"--checkpoint_num {checkpoint_num}: {run_folder} has the iterations {there}; choose "
            "one of them, or 0 for the last"
        )
    return checkpoints[checkpoint_num]


def load_reward_model(
    run_folder: str | Path,
    checkpoint_num: int = 0,
    device: str | torch.device = "cpu",
    *,
    expected: Mapping[str, Any] | None = None,
) -> LoadedReward:
    """Load a trained reward model of iteration ``checkpoint_num`` (0: the last) to score messages.

    Args:
        expected: settings that it must have been trained with, by flag name.
    """
    path = find_checkpoint(run_folder, checkpoint_num)
    content = read_checkpoint(path)
    config = content["config"]
    for name, value in (expected or {}).items():
        if (made := config.get(name, ORIGIN.get(name))) != value:
            raise CheckpointError(
                f"{path} was made with --{name} {made}, not {value}; give --{name} {made}, or "
                "train another reward model"
            )
    model = build_model(path, config, content["model"]).to(device)
    mean, variance = content["reward_mean"], content["reward_var"]
    train_rewards = normalise(content["train_rewards"].numpy(), mean, variance)
    if config.get("online") == CLASSIFICATION:
        train_rewards = (train_rewards > 0).astype(np.float32)
    return LoadedReward(
        model=model.eval().requires_grad_(False),
        mean=mean,
        variance=variance,
        quantiles={float(level): value for level, value in content["quantiles"].items()},
        train_messages=content["train_messages"].numpy(),
        train_rewards=train_rewards,
        config=config,
        fingerprint=content["fingerprint"],
        path=path,
    )


def build_model(
    path: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> RewardModel:
    """The reward model that ``config`` describes, with ``weights``, if they fit together."""
    known = {field.name for field in fields(EncoderSettings)}
    try:
        settings = EncoderSettings(**{name: config[name] for name in known if name in config})
        heads, penalty = config.get("reward_ensemble", 1), config.get("uncertainty_penalty", 0.0)
        model = RewardModel(settings, heads, penalty)
        model.load_state_dict(weights)
    except (ConfigError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}: its weights do not fit its settings ({reason}); it was made with other flags "
            "or is damaged; train the reward again, or import it again"
        ) from None
    return model

"""Settings of stage 2; the names are those of the release's flags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from motif.cli import option
from motif.device import DeviceName
from motif.errors import ConfigError
from motif.pairs_dataset import ORIGIN
from motif.reward.encoder import EncoderSettings

NO_EFFECT = {
    "num_workers": "the messages are in memory; nothing is left to load beside training",
    "algo": "the reward model is trained by plain supervised learning",
    "env": "the reward model learns from the pairs dataset alone",
    "wandb": "metrics go to TensorBoard and to CSV files in the run folder",
}
# A run may go on with other values of these: the result is the same, or further along.
FREE_TO_CHANGE = {
    *("dataset_dir", "train_dir", "experiment", "num_epochs", "device", "keep_checkpoints"),
    *NO_EFFECT,
}


@dataclass(frozen=True)
class RewardTrainingConfig(EncoderSettings):
    """What ``scripts.train_reward`` takes."""

    dataset_dir: str = option("motif_dataset", "the pairs dataset")
    game: str = option(ORIGIN["game"], "the game that the dataset is of")
    caption: str = option(ORIGIN["caption"], "what its captions tell: message, change, history:K")
    annotator: str = option("rules_msg_defaultgoal", "the label set: preference/<annotator>.npy")
    train_dir: str = option("train_dir/reward_saving_dir", "where run folders are made")
    experiment: str = option("standard_reward", "name of the run folder")
    batch_size: int = option(1024, "pairs in a batch")
    reward_lr: float = option(1e-4, "Adam's learning rate; the paper's recipe has 1e-5")
    num_epochs: int = option(5, "passes over the training pairs; the paper's recipe has 10")
    seed: int = option(777, "of the split, the weights and the order of the pairs")
    device: DeviceName = option("auto", "auto is the GPU if there is one")
    soft_labels: bool = option(
        False, "learn from the judge's probabilities, preference/<annotator>.probs.npy"
    )
    label_share: float = option(1.0, "learn from a random share of the training pairs only")
    label_noise: float = option(0.0, "share of these whose preference is turned round")
    reward_ensemble: int = option(1, "heads on one encoder, each on a bootstrap of the pairs")
    uncertainty_penalty: float = option(
        0.0, "the reward is the heads' mean less so many of their deviations"
    )
    keep_checkpoints: int = option(0, "keep only the newest so many; 0: all")
    use_glyphs: bool = option(False, "not possible: the pairs hold no glyphs")
    use_crop: bool = option(False, "not possible: the pairs hold no glyphs")
    num_workers: int | None = option(None, "accepted, no effect: all messages are in memory")
    algo: str | None = option(None, "accepted, no effect")
    env: str | None = option(None, "accepted, no effect")
    wandb: str | None = option(None, "accepted, no effect; there is TensorBoard")

    def __post_init__(self) -> None:
        for name in ("use_glyphs", "use_crop"):
            if getattr(self, name):
                raise ConfigError(
                    f"--{name} True: the pairs hold no glyphs to train on; leave it out "
                    "(--use_blstats is possible)"
                )
        for name in ("batch_size", "num_epochs", "reward_lr"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"--{name} {getattr(self, name)}: it must be more than 0")
        for name in ("seed", "keep_checkpoints"):
            if getattr(self, name) < 0:
                raise ConfigError(f"--{name} {getattr(self, name)}: it must be 0 or more")
        if not 0 < self.label_share <= 1:
            raise ConfigError(f"--label_share {self.label_share}: more than 0, at most 1")
        if not 0 <= self.label_noise <= 1:
            raise ConfigError(f"--label_noise {self.label_noise}: from 0 to 1")
        if self.reward_ensemble < 1:
            raise ConfigError(f"--reward_ensemble {self.reward_ensemble}: at least 1 head")
        if not 0 <= self.uncertainty_penalty < math.inf:
            raise ConfigError(
                f"--uncertainty_penalty {self.uncertainty_penalty}: a number, 0 or more"
            )
        if self.uncertainty_penalty and self.reward_ensemble == 1:
            raise ConfigError(
                f"--uncertainty_penalty {self.uncertainty_penalty}: one head has no doubts; give "
                "--reward_ensemble 5, or leave it out"
            )
        super().__post_init__()

    @property
    def run_folder(self) -> Path:
        """Where everything of this run goes."""
        return Path(self.train_dir) / self.experiment


def given_flags(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from their defaults, and those that a reader looks for."""
    always = ("dataset_dir", "annotator", "batch_size", "reward_lr", "num_epochs", "seed")
    network = [field.name for field in fields(EncoderSettings)]
    return {
        field.name: config[field.name]
        for field in sorted(fields(RewardTrainingConfig), key=lambda field: field.name in network)
        if field.name in config and (field.name in always or config[field.name] != field.default)
    }

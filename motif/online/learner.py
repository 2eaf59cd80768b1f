"""From labels to a reward: a table, or a network that goes on being trained; its checkpoints.

All three rewards are learnt from labelled pairs, with Bradley and Terry's loss. With retrieval and
classification the second side of a pair is the observation without a message: what the judge
prefers to nothing is worth 1. The probability of that, σ(r(m) − r(∅)), is then a logistic
classifier's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motif.errors import CheckpointError
from motif.online.labels import Labels, rows
from motif.pairs_dataset import ORIGIN
from motif.preference.labels import Preference
from motif.reward.checkpoint import (
    CLASSIFICATION,
    RANKING,
    RETRIEVAL,
    ROWS_AT_ONCE,
    LoadedReward,
    list_checkpoints,
    not_finite,
    read_checkpoint,
    save_checkpoint,
)
from motif.reward.encoder import EncoderSettings
from motif.reward.model import make_reward_model
from motif.reward.statistics import normalise, reward_quantiles
from motif.reward.training import train_step
from motif.reward.training_data import LabelledPairs

KINDS = (RETRIEVAL, CLASSIFICATION, RANKING)
STEPS = 32  # of the optimiser at once, ONI's number for an arrival of labels
PASSES = 8  # over the labels, on average; then it waits for more of them
BATCH = 128  # pairs
LEARNING_RATE = 1e-3  # with so few passes, as in the README's recipe for few pairs
KEPT = 3  # checkpoints
ROUNDING = 1e-4  # of a logit; further from 0 than what it depends on how many are computed at once
NETWORK = EncoderSettings(encoder_msg_model="lt_cnn_small")
NOTHING = EncoderSettings(encoder_msg_model="lt_cnn_small", encoder_hidden_dim=2)  # of a table


class Learner:
    """The reward of a run, in ``online/reward``; every checkpoint is a version.

    Args:
        kind: one of :data:`KINDS`.
        folder: ``online`` of the run.
        start: a reward model whose weights a new run begins with.
        origin: the game and its captions.

    Raises:
        CheckpointError: the last version is damaged.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        *,
        seed: int,
        start: LoadedReward | None = None,
        origin: Mapping[str, str] = ORIGIN,
    ) -> None:
        self.kind, self.folder, self._seed = kind, folder / "reward", seed
        settings = NOTHING if kind == RETRIEVAL else NETWORK
        if start is not None:
            settings = EncoderSettings(
                **{name: start.config.get(name, old) for name, old in asdict(NETWORK).items()}
            )
        self.config = {**asdict(settings), **origin, "online": kind, "seed": seed}
        self.model = make_reward_model(settings, seed=seed)
        self._optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.version = self.seen = 0  # checkpoints so far, pairs that steps were made on
        self._pairs: tuple[int, LabelledPairs] | None = None
        if versions := list_checkpoints(self.folder):
            self.version, path = list(versions.items())[-1]
            content = read_checkpoint(path)
            if content["config"].get("online") != kind:
                raise CheckpointError(f"{path} is no {kind} reward; delete {folder}")
            self.model.load_state_dict(content["model"])
            self._optimizer.load_state_dict(content["optimizer"])
            self.seen = int(content["epoch"])
        elif start is not None:
            self.model.load_state_dict(start.model.state_dict())

    def learn(self, labels: Labels) -> bool:
        """Make some steps on ``labels``; whether there was anything to learn from them."""
        if self.kind == RETRIEVAL or not labels.known:
            return False
        if self._pairs is None or self._pairs[0] != len(labels):
            self._pairs = len(labels), labels.training_pairs(ties=self.kind == RANKING)
        pairs = self._pairs[1]
        if self.seen >= PASSES * len(pairs.labels_N):
            return False
        rng = np.random.default_rng([self._seed, self.seen])
        for _ in range(STEPS):
            drawn = rng.integers(len(pairs.labels_N), size=min(BATCH, len(pairs.labels_N)))
            train_step(self.model, self._optimizer, pairs, torch.from_numpy(drawn))
            self.seen += len(drawn)
        return True

    def publish(self, labels: Labels, met: Mapping[bytes, int]) -> dict[bytes, float]:
        """Write the next version; what it pays for each message whose label is known.

        Args:
            met: how often each message was met, which weighs it in the mean and the deviation of
                a ranking's rewards.

        Raises:
            OSError: the disk is full; there is no new version then.
            CheckpointError: training has diverged.
        """
        names = list(labels.known)
        messages_UC = torch.from_numpy(rows(names, (len(names),))[:, 0])
        rewards_U, mean, variance = self._rewards(labels, messages_UC, met)
        quantiles = reward_quantiles(normalise(rewards_U, mean, variance))
        content = {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "config": self.config,
            "iteration": self.version + 1,
            "epoch": self.seen,
            "reward_mean": mean,
            "reward_var": variance,
            "quantiles": {f"{level:.2f}": value for level, value in quantiles.items()},
            "train_messages": messages_UC,
            "train_rewards": rewards_U,
            "history": {},
            "fingerprint": "",
        }
        if wrong := not_finite(content):
            raise CheckpointError(f"the reward's {wrong} are not finite any more")
        save_checkpoint(self.folder, content, keep=KEPT)
        self.version += 1
        paid_U = normalise(rewards_U, mean, variance)
        if self.kind == CLASSIFICATION:
            paid_U = (paid_U > 0).float()
        return dict(zip(names, paid_U.tolist()))

    @torch.no_grad()
    def _rewards(
        self, labels: Labels, messages_UC: Tensor, met: Mapping[bytes, int]
    ) -> tuple[Tensor, float, float]:
        """Rewards (U,) of the known messages, and the mean and variance that normalise them."""
        if self.kind == RETRIEVAL:
            names = list(labels.messages)
            better = {names[row] for row, _, label in labels.pairs if label == Preference.FIRST}
            return torch.tensor([float(name in better) for name in labels.known]), 0.0, 1.0
        if self.kind == CLASSIFICATION:  # no label depends on the bias: nothing gets just below 0
            nothing = self.model(torch.zeros(1, messages_UC.shape[1], dtype=torch.uint8))
            self.model.head.bias.sub_(nothing + ROUNDING)
        blocks = [self.model(block) for block in torch.split(messages_UC, ROWS_AT_ONCE)]
        rewards_U = torch.cat(blocks)
        if self.kind == CLASSIFICATION:
            return rewards_U, 0.0, 1.0
        weight_U = torch.tensor([met.get(name, 0) + 1.0 for name in labels.known]).double()
        weight_U /= weight_U.sum()
        mean = float(weight_U @ rewards_U.double())
        return rewards_U, mean, float(weight_U @ (rewards_U.double() - mean).square())


def check_start(loaded: LoadedReward, kind: str) -> None:
    """Refuse a reward model that a run can't begin with.

    Raises:
        CheckpointError: why, and what to do.
    """
    heads = loaded.model.head.out_features
    if kind == RETRIEVAL:
        raise CheckpointError(
            f"--online retrieval is a table that begins empty, not with {loaded.path}; leave "
            "--reward_dir out, or give --online ranking"
        )
    if heads > 1:
        raise CheckpointError(
            f"{loaded.path} is an ensemble of {heads} heads, and --online {kind} trains one; name "
            "another --reward_dir, or leave it out"
        )

"""A trained reward model against labels of the pairs that its training left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motif.errors import CheckpointError
from motif.pairs_dataset import PairsDataset
from motif.preference import load_preferences
from motif.reward.checkpoint import LoadedReward, load_reward_model
from motif.reward.losses import count_agreements
from motif.reward.metrics import ratio
from motif.reward.model import side_scores
from motif.reward.training_data import TrainingData, load_training_data
from motif.types import MessageArray


@dataclass(frozen=True)
class Agreement:
    """How often a reward orders pairs as their labels do; ties and unknown labels don't count."""

    pairs: int  # with a preference
    accuracy: float | None  # None: no pairs


@dataclass(frozen=True)
class HeldOutResult:
    """A reward model's agreement with a label set, and its reward of every distinct message."""

    reward: LoadedReward
    dataset: PairsDataset
    annotator: str
    held_out: int  # pairs of the validation part
    all: Agreement  # of these
    unseen: Agreement  # of those with a message that no training pair has
    messages_UC: MessageArray
    rewards_U: NDArray[np.float32]  # normalised
    unseen_U: NDArray[np.bool_]  # no training pair has this message


def evaluate_held_out(
    reward_dir: str | Path,
    dataset_dir: str | Path,
    annotator: str | None = None,
    checkpoint_num: int = 0,
) -> HeldOutResult:
    """Split the dataset as the run did, from its seed, and compare on the part it never saw.

    Args:
        annotator: another label set of the same dataset than the one it was trained on.
        checkpoint_num: an iteration; 0 is the last one.

    Raises:
        CheckpointError: there is no such model, it reads more than messages, was imported, or was
            trained on other pairs or labels.
        DatasetError, PreferenceError: the dataset or the label set is missing or damaged.
    """
    reward = load_reward_model(reward_dir, checkpoint_num)
    data = _training_data(reward, dataset_dir)
    dataset = PairsDataset(dataset_dir)
    name, labels_N = reward.config["annotator"], data.labels_N
    if annotator not in (None, name):
        name = annotator
        labels_N = torch.from_numpy(load_preferences(dataset, name))[data.pairs_N].long()
    rewards_U = reward.score(data.messages_UC.numpy())
    scores_NP = side_scores(torch.from_numpy(rewards_U)[data.index_NPT])
    unseen_U = np.ones(len(rewards_U), dtype=bool)
    unseen_U[data.index_NPT[data.train].flatten().numpy()] = False
    return HeldOutResult(
        reward=reward,
        dataset=dataset,
        annotator=name,
        held_out=len(data.validation),
        all=_agreement(scores_NP[data.validation], labels_N[data.validation]),
        unseen=_agreement(scores_NP[data.unseen], labels_N[data.unseen]),
        messages_UC=data.messages_UC.numpy(),
        rewards_U=rewards_U,
        unseen_U=unseen_U,
    )


def _training_data(reward: LoadedReward, dataset_dir: str | Path) -> TrainingData:
    config: dict[str, Any] = dict(reward.config)
    if not reward.fingerprint:
        raise CheckpointError(
            f"{reward.path} was imported: what it was trained on is not known, so no pair is known "
            "to be held out"
        )
    if config["use_blstats"]:
        raise CheckpointError(
            f"{reward.path} reads the status line beside the message; it has no reward of a "
            "message alone. Its accuracy is in val_metrics.csv of its run"
        )
    data = load_training_data(
        dataset_dir,
        config["annotator"],
        seed=config["seed"],
        soft_labels=config["soft_labels"],
        use_blstats=False,
    )
    if data.fingerprint != reward.fingerprint:
        raise CheckpointError(
            f"{reward.path} was trained on other pairs or labels than {config['annotator']} in "
            f"{dataset_dir} holds; name its own dataset with --dataset_dir, or train anew"
        )
    return data


def _agreement(scores_BP: Tensor, labels_B: Tensor) -> Agreement:
    agreeing, preferred = count_agreements(scores_BP, labels_B)
    return Agreement(int(preferred.item()), ratio(agreeing.item(), preferred.item()))

"""On which pairs of a dataset the heads of an ensemble differ: what to have labelled next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motif import messages
from motif.cli import command
from motif.device import resolve_device
from motif.errors import CheckpointError
from motif.pairs_dataset import PairsDataset
from motif.reward.checkpoint import load_reward_model
from motif.reward.ensemble import disagreement
from motif.reward.model import side_scores
from motif.types import IndexArray


def pair_doubts(run_folder: str | Path, pairs: PairsDataset) -> NDArray[np.float32]:
    """The heads' disagreement on each pair (N,), 0 to 1/2, by the run's last checkpoint.

    A pair whose messages an earlier one has too, whichever way round, has none: it would get the
    same label.

    Raises:
        CheckpointError: there is no such run, or its model has one head, or reads the status line.
    """
    reward = load_reward_model(run_folder, device=resolve_device("auto"))
    if reward.model.head.out_features == 1:
        train = command("reward", reward_ensemble=5, annotator=reward.config["annotator"])
        raise CheckpointError(
            f"{reward.path} has one head, which agrees with itself on every pair; train several: "
            f"{train} …"
        )
    if reward.config["use_blstats"]:
        raise CheckpointError(
            f"{reward.path} reads the status line beside the message; pairs are chosen by their "
            "messages: train an ensemble without --use_blstats"
        )
    table_UC, index_NPT = messages.unique(pairs.messages)
    return first_doubts(reward.heads(table_UC), index_NPT)


def first_doubts(heads_UK: Tensor, index_NPT: IndexArray) -> NDArray[np.float32]:
    """The same, of what each head says of distinct messages, and which of them the pairs have."""
    sides_NPK = side_scores(heads_UK[torch.from_numpy(index_NPT)])
    doubts: NDArray[np.float32] = disagreement(sides_NPK[:, 0] - sides_NPK[:, 1]).numpy()
    steps = index_NPT.shape[2]
    _, side = np.unique(index_NPT.reshape(-1, steps), axis=0, return_inverse=True)
    _, first = np.unique(np.sort(side.reshape(-1, 2), axis=1), axis=0, return_index=True)
    repeated = np.ones(len(doubts), bool)
    repeated[first] = False
    doubts[repeated] = 0
    return doubts

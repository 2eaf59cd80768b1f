"""Whether a reward model agrees with each held-out label, and how common the messages are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motif.preference import Preference
from motif.reward.checkpoint import LoadedReward
from motif.reward.training_data import TrainingData


def held_out_agreement(
    loaded: LoadedReward, data: TrainingData
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """For the validation pairs with a preference (N of them).

    Returns:
        Whether the side that the label prefers has the larger reward (equal rewards agree with
        no label), and how many training observations have the rarest message of the pair.
    """
    rewards_U = loaded.score(data.messages_UC.numpy())
    index_NPT, labels_N = data.index_NPT.numpy(), data.labels_N.numpy()
    in_training_U = np.bincount(index_NPT[data.train.numpy()].ravel(), minlength=len(rewards_U))
    rows = data.validation.numpy()
    rows = rows[labels_N[rows] != Preference.TIE]
    first, second = rewards_U[index_NPT[rows]].mean(axis=2).T
    wanted = np.where(labels_N[rows] == Preference.FIRST, first - second, second - first)
    return wanted > 0, in_training_U[index_NPT[rows]].min(axis=(1, 2))

"""The training pairs in memory: distinct messages once, and which of them each observation is."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import TensorDataset, random_split

from motif import messages
from motif.blstats import BLSTATS_SIZE, scale_blstats
from motif.errors import DatasetError, PreferenceError
from motif.pairs_dataset import PairsDataset, arrays_present
from motif.preference.label_set import annotate_command, load_preferences, load_probabilities
from motif.preference.labels import Preference, count_labels
from motif.reward.losses import targets_from_labels, targets_from_probabilities
from motif.types import LabelArray

SHARES = (0.8, 0.2)  # training, validation
OTHER_SIDE = torch.tensor([Preference.SECOND, Preference.FIRST, Preference.TIE])
SMALLEST_SET = 5  # known pairs; with fewer, random_split leaves nothing to validate on


@dataclass(frozen=True)
class LabelledPairs:
    """What an optimiser step reads: N pairs of U distinct messages."""

    messages_UC: Tensor  # (U, 256) uint8: the distinct messages
    index_NPT: Tensor  # (N, 2, T) int64, rows of messages_UC
    targets_NP: Tensor  # (N, 2) float32: probability that each side is the better one
    labels_N: Tensor  # int64, values of Preference, never UNKNOWN
    blstats: Tensor | None  # (N, 2, T, 27) float32, scaled; only if the model reads them


@dataclass(frozen=True)
class TrainingData(LabelledPairs):
    """The known pairs of a label set (N of them), split into training and validation."""

    pairs_N: Tensor  # int64: which pairs of the dataset they are
    game_scores_NP: Tensor | None  # the whole game's score, where the dataset has it
    train: Tensor  # int64, rows of the above
    validation: Tensor
    unseen: Tensor  # those of validation with a message that no training pair has
    train_messages: Tensor  # (M, 256) uint8: the distinct messages of the training pairs
    first_train_observations: Tensor  # (M,): where each is first, in flattened index_NPT[train]
    fingerprint: str  # of the dataset and labels: what a resumed run must find unchanged

    def to(self, device: torch.device) -> TrainingData:
        """The same, with every tensor on ``device``."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        tensors: dict[str, Any] = {k: v.to(device) for k, v in values if isinstance(v, Tensor)}
        return replace(self, **tensors)


def load_training_data(
    directory: str | Path,
    annotator: str,
    *,
    seed: int,
    soft_labels: bool,
    use_blstats: bool,
    label_share: float = 1.0,
    label_noise: float = 0.0,
) -> TrainingData:
    """Read a dataset and one of its label sets; leave unknown pairs out, then split 80/20.

    A random ``label_share`` of the training pairs is kept, and of these a random ``label_noise``
    has its sides exchanged; the validation pairs are the same ones whatever these are.
    """
    present = arrays_present(directory)
    keys = ["message", *["score"] * ("score" in present), *["blstats"] * use_blstats]
    dataset = PairsDataset(directory, keys)
    labels = load_preferences(dataset, annotator)
    known = np.flatnonzero(labels != Preference.UNKNOWN)
    _check_labels(labels, annotator, dataset)
    table, index = messages.unique(dataset.messages)
    rows, index = np.unique(index[known], return_inverse=True)
    index = index.reshape(len(known), *dataset.messages.shape[1:3])
    if len(rows) < 2:
        raise DatasetError(
            f"every observation of {dataset.directory} has the same message: nothing to learn "
            "from; collect another dataset"
        )
    labels_N = torch.from_numpy(labels[known].astype(np.int64))
    scores = dataset["score"][known].astype(np.float64) if "score" in present else None
    targets_NP = targets_from_labels(labels_N)
    digest = hashlib.sha256(dataset.fingerprint.encode() + labels.tobytes())
    if soft_labels:
        probabilities = _probabilities(dataset, annotator, known)
        digest.update(probabilities.tobytes())
        targets_NP = targets_from_probabilities(torch.from_numpy(probabilities))
    rng = torch.Generator().manual_seed(seed)
    parts = random_split(TensorDataset(torch.arange(len(known))), SHARES, generator=rng)
    train, validation = (np.array(part.indices, dtype=np.int64) for part in parts)
    train = train[: max(1, round(label_share * len(train)))]
    turned = torch.from_numpy(train)[torch.rand(len(train), generator=rng) < label_noise]
    targets_NP[turned] = targets_NP[turned].flip(1)
    labels_N[turned] = OTHER_SIDE[labels_N[turned]]
    train_rows, first = np.unique(index[train].ravel(), return_index=True)
    unseen = validation[~np.isin(index[validation], train_rows).all(axis=(1, 2))]
    return TrainingData(
        pairs_N=torch.from_numpy(known),
        messages_UC=torch.from_numpy(table[rows]),
        train_messages=torch.from_numpy(table[rows[train_rows]]),
        first_train_observations=torch.from_numpy(first),
        index_NPT=torch.from_numpy(index),
        targets_NP=targets_NP,
        labels_N=labels_N,
        game_scores_NP=None if scores is None else torch.from_numpy(scores),
        blstats=_load_blstats(dataset, known) if use_blstats else None,
        train=torch.from_numpy(train),
        validation=torch.from_numpy(validation),
        unseen=torch.from_numpy(unseen),
        fingerprint=digest.hexdigest()[:16],
    )


def _check_labels(labels: LabelArray, annotator: str, dataset: PairsDataset) -> None:
    counts = count_labels(labels)
    known = len(labels) - counts["unknown"]
    if known < SMALLEST_SET:
        raise PreferenceError(
            f"label set {annotator!r} has {known} known labels in {len(labels)} pairs; training "
            f"needs {SMALLEST_SET}. Label the unknown ones: "
            + annotate_command(annotator, dataset.directory)
        )
    if counts["tie"] == known:
        warnings.warn(
            f"all {known} known labels of {annotator!r} are ties: the reward cannot learn what is "
            "better, and accuracy stays empty",
            stacklevel=3,
        )


def _probabilities(
    dataset: PairsDataset, annotator: str, known: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(known, 3) float32, which sum to 1."""
    chosen = load_probabilities(dataset, annotator)[known]
    valid = (chosen >= 0).all(axis=1) & np.isclose(chosen.sum(axis=1), 1, atol=1e-2)
    if not valid.all():
        raise PreferenceError(
            f"{annotator}.probs.npy: pair {known[~valid][0]} has a label but no probabilities "
            "(they must be 0 or more and sum to 1); annotate it again, or leave --soft_labels out"
        )
    chosen /= chosen.sum(axis=1, keepdims=True)
    return chosen


def _load_blstats(dataset: PairsDataset, known: NDArray[np.int64]) -> Tensor:
    blstats = dataset["blstats"]
    if blstats.shape[:3] != dataset.messages.shape[:3] or blstats.shape[3] != BLSTATS_SIZE:
        expected = (*dataset.messages.shape[:3], BLSTATS_SIZE)
        raise DatasetError(
            f"{dataset.path('blstats')} has shape {blstats.shape}, expected {expected}; "
            "train without --use_blstats"
        )
    return torch.from_numpy(scale_blstats(blstats[known]))

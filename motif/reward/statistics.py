"""Mean, variance, quantiles and ranks of rewards, as pure functions."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motif.types import AnyArray

QUANTILES = tuple(step / 20 for step in range(1, 20))  # 0.05, 0.10 … 0.95

Rewards = TypeVar("Rewards", Tensor, NDArray[np.float32])


def reward_moments(rewards: Tensor) -> tuple[float, float]:
    """Mean and (population) variance of the rewards of all observations, in float64."""
    # Differs from the release, which merges variances of batches, starting from a made-up prior.
    values = rewards.double()
    return values.mean().item(), values.var(correction=0).item()


def normalise(rewards: Rewards, mean: float, variance: float) -> Rewards:
    """(r − mean) / √variance (paper, section 3).

    A model that gives every message one reward has no opinion: all zeros.
    """
    return (rewards - mean) / (math.sqrt(variance) if variance > 0 else math.inf)


def rank_correlation(first_U: AnyArray, second_U: AnyArray) -> float | None:
    """Spearman's: Pearson's of ranks, which equal values share; None where one does not vary."""
    ranks = []
    for values in (first_U, second_U):
        _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
        if len(counts) < 2:
            return None
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[index])
    return float(np.corrcoef(ranks)[0, 1])


def reward_quantiles(normalised_U: Tensor) -> dict[float, float]:
    """Quantiles 0.05 … 0.95 over the distinct messages, each counted once; interpolated."""
    levels = torch.tensor(QUANTILES, dtype=torch.float64, device=normalised_U.device)
    values = torch.quantile(normalised_U.double(), levels)
    return dict(zip(QUANTILES, values.tolist()))

"""Several heads on one encoder: what they agree on, and how sure a reward is, as pure functions."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

BINS = 10  # of confidence, from 1/2 to 1

Reliability = list[tuple[float, float, int]]  # a bin's mean confidence, its accuracy, its pairs


def pessimistic(heads: Tensor, penalty: float) -> Tensor:
    """Mean less ``penalty`` times the (population) deviation of the heads: (..., K) to (...)."""
    mean = heads.mean(-1)
    return mean - penalty * heads.std(-1, correction=0) if penalty else mean


def bootstrap_counts(rows: int, heads: int, seed: int) -> NDArray[np.int64]:
    """How often each head's sample with replacement has each row: (rows, K); columns sum to rows.

    Efron 1979; heads of one network, as Osband et al. 2016 (arXiv 1602.04621).
    """
    rng = np.random.default_rng([seed, heads])
    samples = (rng.integers(rows, size=rows) for _ in range(heads))
    return np.stack([np.bincount(sample, minlength=rows) for sample in samples], axis=1)


def ensemble_loss(scores_BPK: Tensor, targets_BP: Tensor, counts_BK: Tensor) -> Tensor:
    """Mean over pairs and heads of the preference loss, times how often the head draws the pair."""
    targets_BPK = targets_BP[..., None].expand_as(scores_BPK)
    return (F.cross_entropy(scores_BPK, targets_BPK, reduction="none") * counts_BK).mean()


def reliability(
    confidence_N: NDArray[np.float64], agrees_N: NDArray[np.float64]
) -> tuple[Reliability, float | None]:
    """Bins of a two-way classifier's confidence (1/2 to 1), and its expected calibration error.

    ECE (Naeini et al. 2015): the mean over pairs of |accuracy − confidence| of their bin. None
    where there are no pairs.
    """
    bin_N = np.minimum((2 * confidence_N - 1) * BINS, BINS - 1).astype(int)
    rows = [
        (float(confidence_N[inside].mean()), float(agrees_N[inside].mean()), int(inside.sum()))
        for inside in (bin_N == number for number in np.unique(bin_N))
    ]
    error = sum(count * abs(accuracy - sure) for sure, accuracy, count in rows)
    return rows, error / len(agrees_N) if len(agrees_N) else None


def split_vote(margins_NK: Tensor) -> Tensor:
    """Whether the heads prefer different sides of a pair: bool (N,)."""
    return (margins_NK > 0).any(-1) & (margins_NK < 0).any(-1)


def disagreement(margins_NK: Tensor) -> Tensor:
    """How far heads differ on pairs: (N,), deviation of the first side's probability, 0 to 1/2.

    As Lee et al. 2021 (PEBBLE, arXiv 2106.05091) choose pairs to ask about.

    Args:
        margins_NK: by how much each head prefers the first side.
    """
    return margins_NK.sigmoid().std(-1, correction=0)

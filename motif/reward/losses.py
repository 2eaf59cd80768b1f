"""Bradley-Terry cross-entropy and accuracy, as pure functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from motif.preference.labels import Preference

_TARGETS = {  # the probability that each side is the better one
    Preference.FIRST: (1.0, 0.0),
    Preference.SECOND: (0.0, 1.0),
    Preference.TIE: (0.5, 0.5),
}


def targets_from_labels(labels_B: Tensor) -> Tensor:
    """Targets (B, 2) float32 of labels that are first, second or tie; a tie is (1/2, 1/2)."""
    table = torch.tensor([_TARGETS[Preference(label)] for label in range(len(_TARGETS))])
    return table.to(labels_B.device)[labels_B.long()]


def targets_from_probabilities(probabilities_B3: Tensor) -> Tensor:
    """Targets (B, 2) of probabilities (first, second, tie); a tie's mass goes half to each side."""
    return probabilities_B3[:, :2] + probabilities_B3[:, 2:] / 2


def preference_loss(scores_BP: Tensor, targets_BP: Tensor) -> Tensor:
    """Mean cross-entropy between targets and P(side) = softmax of the two scores.

    Equation 1 of the paper (Bradley and Terry 1952). Equal scores cost ln 2 whatever the target.
    """
    return F.cross_entropy(scores_BP, targets_BP)


def agreements(scores_BP: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
    """For each pair whether the scores order it as its label does, and whether it has a preference.

    Two of (B,) float64, 0 or 1. A pair with equal scores agrees by half, as a coin would; one
    without a preference (a tie, unknown) agrees by 0.
    """
    margin_B = (scores_BP[:, 0] - scores_BP[:, 1]).sign()
    wanted_B = (labels_B == Preference.FIRST).double() - (labels_B == Preference.SECOND).double()
    preferred_B = wanted_B.abs()
    return (margin_B * wanted_B + 1) / 2 * preferred_B, preferred_B


def count_agreements(scores_BP: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
    """The sums of :func:`agreements`: two float64 scalars, to be summed over batches."""
    # Differs from the release: a mean of batch means is NaN if one batch is all ties.
    agrees_B, preferred_B = agreements(scores_BP, labels_B)
    return agrees_B.sum(), preferred_B.sum()

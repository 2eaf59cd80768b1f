"""What exploration bonuses are worth: RND, NovelD and E3B, as functions of tensors.

Random network distillation: arXiv 1810.12894; NovelD: Zhang et al., NeurIPS 2021; E3B: arXiv
2210.05805. docs/baselines.md has the formulas and what differs from the papers. ``B`` are games,
``T`` steps of each, ``F`` features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST = 1e-8  # deviation


def rnd_error(predicted: Tensor, target: Tensor) -> Tensor:
    """RND: ``½‖f̂ − f‖²``, features (..., F) of the trained and the fixed network to (...)."""
    return (predicted - target).square().sum(-1) / 2


def noveld(novelty: Tensor, before: Tensor, first_visit: Tensor, alpha: float) -> Tensor:
    """NovelD: ``max(n(s') − α n(s), 0)``, and nothing but on the episode's first visit to s'.

    Args:
        novelty: of s', any shape; the RND error.
        before: of the observation before it, the same shape; 0 where an episode begins.
        first_visit: bool, the same shape.
    """
    return (novelty - alpha * before).clamp(min=0) * first_visit


def elliptical_bonus(
    inverse: Tensor, features: Tensor, begins: Tensor, ridge: float
) -> tuple[Tensor, Tensor]:
    """E3B: ``b = φᵀC⁻¹φ``, C the ridge plus the sum of φφᵀ over the episode before this step.

    With u = C⁻¹φ, Sherman and Morrison's formula gives C⁻¹ ← C⁻¹ − uuᵀ / (1 + b).

    Args:
        inverse: C⁻¹ of each game (B, F, F) before its first step here; it is left as it is.
        features: φ (B, T, F).
        begins: bool (B, T), where an episode does, with C⁻¹ = I / ridge.

    Returns:
        b (B, T), and C⁻¹ after the last step.
    """
    inverse = inverse.clone()
    fresh = torch.eye(features.shape[-1], dtype=inverse.dtype, device=inverse.device) / ridge
    bonus = features.new_empty(features.shape[:2])
    for step, (phi, begin) in enumerate(zip(features.unbind(1), begins.unbind(1))):
        inverse[begin] = fresh
        u = torch.bmm(inverse, phi[:, :, None])
        bonus[:, step] = paid = (phi * u[:, :, 0]).sum(1)
        inverse.baddbmm_(u / (1 + paid[:, None, None]), u.mT, alpha=-1)
    return bonus, inverse


class RunningDeviation(nn.Module):
    """Divides by the standard deviation of all values so far; its moments are a model's state.

    Batches are merged as Chan, Golub and LeVeque do (1979), in float64.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor  # sum of the squared differences from the mean

    def __init__(self) -> None:
        super().__init__()
        for name in ("count", "mean", "squares"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    @property
    def deviation(self) -> Tensor:
        """Of the population; 1 before two values have differed by more than rounding."""
        deviation = (self.squares / self.count).sqrt()
        return torch.where(deviation > SMALLEST, deviation, 1.0)

    def forward(self, values: Tensor) -> Tensor:
        """The values, which count already, divided."""
        batch = values.double()
        total = self.count + batch.numel()
        shift = batch.mean() - self.mean
        within = (batch - batch.mean()).square().sum()
        self.squares += within + shift.square() * self.count * batch.numel() / total
        self.mean += shift * batch.numel() / total
        self.count.copy_(total)
        return (batch / self.deviation).to(values.dtype)

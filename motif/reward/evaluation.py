"""How good a reward model is on held-out pairs, and the statistics of its rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from motif.preference.labels import Preference, prefer_larger
from motif.reward.checkpoint import ROWS_AT_ONCE
from motif.reward.losses import count_agreements, preference_loss
from motif.reward.metrics import ratio
from motif.reward.model import RewardModel, side_scores
from motif.reward.statistics import normalise, reward_moments, reward_quantiles
from motif.reward.training_data import TrainingData


@dataclass(frozen=True)
class Evaluation:
    """Measured at one checkpoint."""

    loss: float  # on validation pairs
    row: dict[str, float | None]  # of val_metrics.csv; None where no pair could tell
    one_side: float | None  # accuracy of always answering the side that is better more often
    statistics: dict[str, Any]  # of the rewards, as the checkpoint names them


@torch.inference_mode()
def evaluate(model: RewardModel, data: TrainingData) -> Evaluation:
    """Score every distinct message once; measure validation pairs, and training's rewards."""
    rewards_NPT = _all_rewards(model, data)
    scores_NP, labels_N, rows = side_scores(rewards_NPT), data.labels_N, data.validation
    train_rewards = rewards_NPT[data.train].flatten()
    mean, variance = reward_moments(train_rewards)
    distinct = train_rewards[data.first_train_observations]
    quantiles = reward_quantiles(normalise(distinct, mean, variance))
    loss = preference_loss(scores_NP[rows], data.targets_NP[rows]).item()
    game_score = None
    if data.game_scores_NP is not None:
        # Differs from the release, where equal scores count as a preference for the first side.
        by_score = torch.from_numpy(prefer_larger(data.game_scores_NP[rows].cpu().numpy()))
        game_score = _accuracy(scores_NP[rows], by_score.to(rows.device))
    return Evaluation(
        loss=loss,
        row={
            "total_val_loss": loss,
            "score_validation_accs": game_score,
            "validation_accs": _accuracy(scores_NP[rows], labels_N[rows]),
            "unseen_validation_accs": _accuracy(scores_NP[data.unseen], labels_N[data.unseen]),
        },
        one_side=_one_side(labels_N[rows]),
        statistics={
            "reward_mean": mean,
            "reward_var": variance,
            "quantiles": {f"{level:.2f}": value for level, value in quantiles.items()},
            "train_rewards": distinct,
        },
    )


@torch.no_grad()
def centre_heads(model: RewardModel, data: TrainingData) -> None:
    """Give each head the mean 0 over the distinct training messages.

    No pair tells a head's offset, since it cancels in each; left alone, offsets would count as
    disagreement in the deviation of the heads.
    """
    status = data.blstats
    if status is not None:
        status = status[data.train].flatten(0, 2)[data.first_train_observations]
    said = [
        model.heads(data.train_messages[rows], None if status is None else status[rows])
        for rows in torch.split(torch.arange(len(data.train_messages)), ROWS_AT_ONCE)
    ]
    model.head.bias.sub_(torch.cat(said).mean(0))


def _all_rewards(model: RewardModel, data: TrainingData) -> Tensor:
    """(N, 2, T), in blocks."""
    if data.blstats is None:
        blocks = torch.split(data.messages_UC, ROWS_AT_ONCE)
        return torch.cat([model(block) for block in blocks])[data.index_NPT]
    pairs = zip(torch.split(data.index_NPT, ROWS_AT_ONCE), torch.split(data.blstats, ROWS_AT_ONCE))
    rewards = [model.forward_distinct(data.messages_UC, index, status) for index, status in pairs]
    return torch.cat(rewards)


def _accuracy(scores_BP: Tensor, labels_B: Tensor) -> float | None:
    agreeing, preferred = count_agreements(scores_BP, labels_B)
    return ratio(agreeing.item(), preferred.item())


def _one_side(labels_B: Tensor) -> float | None:
    counts = [int((labels_B == side).sum()) for side in (Preference.FIRST, Preference.SECOND)]
    return ratio(max(counts), sum(counts))

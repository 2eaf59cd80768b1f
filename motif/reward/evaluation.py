"""How good a reward model is on held-out pairs, and the statistics of its rewards."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Measured at one checkpoint; None where no pair could tell."""

    loss: float  # the rest of the first four: on validation pairs
    accuracy: float | None  # over pairs with a preference
    one_side: float | None  # accuracy of always answering the side that is better more often
    unseen_accuracy: float | None  # over those with a message that no training pair has
    score_agreement: float | None  # with the game's score, over pairs whose games differ in it
    mean: float  # of the reward, over all training observations, repeats counted
    variance: float
    quantiles: dict[float, float]  # of the normalised reward, over distinct training messages
    train_rewards: Tensor  # (M,) float32: rewards of TrainingData.train_messages


@torch.inference_mode()
def evaluate(model: RewardModel, data: TrainingData) -> Evaluation:
    """Score every distinct message once, and measure."""
    rewards_NPT = _all_rewards(model, data)
    scores_NP, labels_N = side_scores(rewards_NPT), data.labels_N
    train_rewards = rewards_NPT[data.train].flatten()
    mean, variance = reward_moments(train_rewards)
    distinct = train_rewards[data.first_train_observations]
    rows = data.validation
    return Evaluation(
        loss=preference_loss(scores_NP[rows], data.targets_NP[rows]).item(),
        accuracy=_accuracy(scores_NP[rows], labels_N[rows]),
        one_side=_one_side(labels_N[rows]),
        unseen_accuracy=_accuracy(scores_NP[data.unseen], labels_N[data.unseen]),
        score_agreement=None
        if data.game_scores_NP is None
        else _accuracy(scores_NP[rows], _labels_of_scores(data.game_scores_NP[rows])),
        mean=mean,
        variance=variance,
        quantiles=reward_quantiles(normalise(distinct, mean, variance)),
        train_rewards=distinct,
    )


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


def _labels_of_scores(game_scores_BP: Tensor) -> Tensor:
    # Differs from the release, where equal scores count as a preference for the first side.
    return torch.from_numpy(prefer_larger(game_scores_BP.cpu().numpy())).to(game_scores_BP.device)

"""The reward model: one number for each observation's message."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motif.reward.encoder import EncoderSettings, RewardEncoder
from motif.reward.ensemble import pessimistic


class RewardModel(nn.Module):
    """r(message), a preference model's latent score (paper, section 2).

    Linear layers start orthogonal with gain 1 and bias 0; Conv1d and Embedding as torch makes them.

    Args:
        heads: how many rewards are learnt; theirs is the mean less ``penalty`` deviations.
    """

    def __init__(self, settings: EncoderSettings, heads: int = 1, penalty: float = 0.0) -> None:
        super().__init__()
        self.penalty = penalty
        self.encoder = RewardEncoder(settings)
        self.head = nn.Linear(settings.encoder_hidden_dim, heads)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, messages: Tensor, blstats: Tensor | None = None) -> Tensor:
        """Rewards (...) of messages (..., 256) uint8.

        A model with the blstats branch needs them too, scaled: (..., 27). Every message is
        encoded, equal ones again; :meth:`forward_distinct` is the fast way.
        """
        return pessimistic(self.heads(messages, blstats), self.penalty)

    def heads(self, messages: Tensor, blstats: Tensor | None = None) -> Tensor:
        """What each head says (..., K), of the same arguments."""
        leading = messages.shape[:-1]
        features = self.encoder.message(messages.reshape(-1, messages.shape[-1]))
        return self._score(features.reshape(*leading, -1), blstats)

    def forward_distinct(
        self, messages_UC: Tensor, index: Tensor, blstats: Tensor | None = None
    ) -> Tensor:
        """Rewards (...) of ``messages_UC[index]``, each distinct message encoded once."""
        return pessimistic(self.heads_distinct(messages_UC, index, blstats), self.penalty)

    def heads_distinct(
        self, messages_UC: Tensor, index: Tensor, blstats: Tensor | None = None
    ) -> Tensor:
        """What each head says (..., K), of the same arguments."""
        used, position = torch.unique(index, return_inverse=True)
        features_UF = self.encoder.message(messages_UC[used])
        if blstats is None:
            return self._score(features_UF, None)[position]
        return self._score(features_UF[position], blstats)

    def _score(self, features: Tensor, blstats: Tensor | None) -> Tensor:
        rewards: Tensor = self.head(F.relu(self.encoder(features, blstats)))
        return rewards


def make_reward_model(
    settings: EncoderSettings, *, seed: int, heads: int = 1, penalty: float = 0.0
) -> RewardModel:
    """A new model whose weights depend on ``seed`` alone; torch's generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RewardModel(settings, heads, penalty)


def side_scores(rewards_BPT: Tensor) -> Tensor:
    """The score of each side of a pair (B, 2, …): the mean reward over its steps (B, 2, T, …)."""
    return rewards_BPT.mean(dim=2)

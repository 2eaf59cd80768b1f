"""RND, NovelD and E3B with their networks: what the learner trains and pays (docs/baselines.md).

A bonus reads what the policy reads, through the compact policy's encoder where a game has cells
or pictures, whichever policy is trained: a bonus is the same with each.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import Tensor, nn

from motif.intrinsic.exploration import RunningDeviation, elliptical_bonus, noveld, rnd_error
from sample_factory_ext.compact_encoder import CompactEncoder
from sample_factory_ext.encoder import MessagePolicyEncoder
from sample_factory_ext.settings import RLSettings

INVERSE_MODEL_FEATURES = 256


class Bonus(nn.Module):
    """One of :data:`TRAINED`; what it knows of games that are being played is in no checkpoint."""

    def __init__(self, cfg: RLSettings) -> None:
        super().__init__()
        self.deviation = RunningDeviation()
        self.games = cfg.num_workers * cfg.num_envs_per_worker

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """What the observation before each action pays (B, T), raw, and the loss to learn from.

        Args:
            batch: rollouts of Sample Factory: ``obs`` (B, T + 1, …), ``actions`` (B, T, 1),
                ``dones`` (B, T).
        """
        raise NotImplementedError


class RND(Bonus):
    """The error of a network that learns to predict the features of a fixed one."""

    def __init__(self, cfg: RLSettings, obs_space: spaces.Dict, actions: int) -> None:
        super().__init__(cfg)
        self.target = _network(cfg, obs_space, cfg.rnd_features).requires_grad_(False)
        self.predictor = _network(cfg, obs_space, cfg.rnd_features)

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The error is both."""
        seen = {key: values[:, :-1].flatten(0, 1) for key, values in batch["obs"].items()}
        error = rnd_error(self.predictor(seen), self.target(seen))
        return error.detach().view(batch["dones"].shape), error.mean()


class NovelD(RND):
    """The rise of RND's error from one observation to the next, at an episode's first visits."""

    last: Tensor  # error of each game's last observation

    def __init__(self, cfg: RLSettings, obs_space: spaces.Dict, actions: int) -> None:
        super().__init__(cfg, obs_space, actions)
        self.alpha = cfg.noveld_alpha
        self.register_buffer("last", torch.zeros(self.games), persistent=False)

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The loss is RND's."""
        novelty, loss = super().forward(batch)
        games, steps, first_visit = batch["obs"]["trace"][:, :-1].unbind(-1)
        before = torch.empty_like(novelty)
        for rows in _in_turn(games[:, 0]):
            game = games[rows, 0]
            before[rows] = torch.cat((self.last[game, None], novelty[rows, :-1]), dim=1)
            self.last[game] = novelty[rows, -1]
        before[steps == 0] = 0
        return noveld(novelty, before, first_visit.bool(), self.alpha), loss


class E3B(Bonus):
    """How far features point from the episode's; they learn to tell which action was taken."""

    inverse: Tensor  # of each game's covariance

    def __init__(self, cfg: RLSettings, obs_space: spaces.Dict, actions: int) -> None:
        super().__init__(cfg)
        size, self.ridge = cfg.e3b_features, cfg.e3b_ridge
        self.encoder = _network(cfg, obs_space, size)
        self.inverse_model = nn.Sequential(
            nn.Linear(2 * size, INVERSE_MODEL_FEATURES),
            nn.ReLU(),
            nn.Linear(INVERSE_MODEL_FEATURES, actions),
        )
        fresh = torch.eye(size).repeat(self.games, 1, 1) / self.ridge
        self.register_buffer("inverse", fresh, persistent=False)

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The loss is that of the actions, but for those that ended an episode."""
        seen = {key: values.flatten(0, 1) for key, values in batch["obs"].items()}
        features = self.encoder(seen).unflatten(0, batch["obs"]["trace"].shape[:2])
        games, steps, _ = batch["obs"]["trace"][:, :-1].unbind(-1)
        bonus = features.new_empty(steps.shape)
        for rows in _in_turn(games[:, 0]):
            # Of length 1: as they are, the first two steps of a game were half of all it paid.
            game, phi = games[rows, 0], F.normalize(features[rows, :-1].detach(), dim=-1)
            bonus[rows], self.inverse[game] = elliptical_bonus(
                self.inverse[game], phi, steps[rows] == 0, self.ridge
            )
        guesses = self.inverse_model(torch.cat((features[:, :-1], features[:, 1:]), dim=-1))
        actions = batch["actions"].long().flatten()
        losses = F.cross_entropy(guesses.flatten(0, 1), actions, reduction="none")
        goes_on = ~batch["dones"].flatten()
        return bonus, (losses * goes_on).sum() / goes_on.sum().clamp(min=1)


BONUSES = {"rnd": RND, "noveld": NovelD, "e3b": E3B}


def _network(cfg: RLSettings, obs_space: spaces.Dict, size: int) -> nn.Sequential:
    sees = {"cells", "picture"} & set(obs_space.spaces)
    kind = CompactEncoder if sees else MessagePolicyEncoder
    encoder = kind(cfg, obs_space)
    return nn.Sequential(encoder, nn.Linear(encoder.get_out_size(), size))


def _in_turn(games: Tensor) -> Sequence[list[int]]:
    """Rows of a batch, the first of each game, then their second ones, and so on."""
    seen: Counter[int] = Counter()
    turns: dict[int, list[int]] = defaultdict(list)
    for row, game in enumerate(games.tolist()):
        turns[seen[game]].append(row)
        seen[game] += 1
    return list(turns.values())

"""``nle_compact_encoder``: a policy that sees what the paper's does, at a fifth of its cost.

Cells are embedded instead of drawn, so that convolutions of 12x12 cells do where the paper's need
72x72 pixels; a message is the sum of what its groups of three characters mean, so that words are
recognised wherever they stand. Not the paper's policy (docs/differences.md, "Training").
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from gymnasium import spaces
from sample_factory.model.model_utils import nonlinearity
from torch import Tensor, nn

from motif.blstats import BLSTATS_SIZE
from motif.games.nethack.observations import CROP, NUM_COLORS
from motif.messages import MESSAGE_LENGTH
from sample_factory_ext.settings import RLSettings
from sample_factory_ext.status_encoder import StatusEncoder

CHARACTERS = 256
CELL_FEATURES = 16
CHANNELS = (32, 64)  # of the two convolutions, each of which halves the sides
MAP_FEATURES, STATUS_FEATURES, MESSAGE_FEATURES = 128, 64, 64
GRAM, BUCKETS = 3, 4096  # characters, and how many groups of them are told apart
GRAM_SCALE = 0.1


class Cells(nn.Module):
    """Cells (B, 12, 12) to (B, 16, 12, 12): the vector of the character plus that of the colour."""

    def __init__(self) -> None:
        super().__init__()
        self.character = nn.Parameter(torch.randn(CHARACTERS, CELL_FEATURES))
        self.color = nn.Parameter(torch.randn(NUM_COLORS, 1, CELL_FEATURES))

    def forward(self, cells: Tensor) -> Tensor:
        """Look them up in the table of all sums."""
        table = (self.color + self.character).view(-1, CELL_FEATURES)
        return F.embedding(cells.int(), table).permute(0, 3, 1, 2)


class MessageGrams(nn.Module):
    """Messages (B, 256) to (B, 64): the sum of a vector for each three characters in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.grams = nn.Parameter(torch.randn(BUCKETS, MESSAGE_FEATURES) * GRAM_SCALE)

    def forward(self, message: Tensor) -> Tensor:
        """Three characters share a vector with the others of their bucket."""
        characters = message.int()
        length = MESSAGE_LENGTH - GRAM + 1
        buckets = torch.zeros_like(characters[:, :length])
        for place in range(GRAM):
            buckets = buckets * 31 + characters[:, place : place + length]
        there = message[:, :length] != 0
        counts = there.sum(1)
        begins = (counts.cumsum(0) - counts).int()
        return F.embedding_bag(buckets[there] % BUCKETS, self.grams, begins, mode="sum")


class CompactEncoder(StatusEncoder):
    """``cells``, ``blstats`` and ``message`` to (B, 283)."""

    def __init__(self, cfg: RLSettings, obs_space: spaces.Dict) -> None:
        super().__init__(cfg)
        first, second = CHANNELS
        convolutions = nn.Sequential(
            nn.Conv2d(CELL_FEATURES, first, 3, stride=2, padding=1),
            nonlinearity(cfg),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nonlinearity(cfg),
            nn.Flatten(),
            nn.Linear(second * (CROP // 4) ** 2, MAP_FEATURES),
            nonlinearity(cfg),
        )
        self.map = nn.Sequential(Cells(), convolutions)
        self.status_head = nn.Sequential(
            nn.Linear(BLSTATS_SIZE, STATUS_FEATURES), nonlinearity(cfg)
        )
        self.message_head = nn.Sequential(
            MessageGrams(), nonlinearity(cfg), nn.Linear(MESSAGE_FEATURES, MESSAGE_FEATURES)
        )
        self.out_size = MAP_FEATURES + STATUS_FEATURES + BLSTATS_SIZE + MESSAGE_FEATURES

    def forward(self, obs_dict: dict[str, Tensor]) -> Tensor:
        """Features of a batch of observations."""
        status = self.status(obs_dict["blstats"])
        message = self.message_head(obs_dict["message"])
        return torch.cat(
            (self.map(obs_dict["cells"]), self.status_head(status), status, message), dim=1
        )

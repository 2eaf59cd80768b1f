"""``nle_compact_encoder``: of a game's cells, picture, status and message it reads what there is.

In NetHack it sees what the paper's policy does, at a fifth of its cost.

Cells are embedded instead of drawn, so that convolutions of 12x12 cells do where the paper's need
72x72 pixels; a message is the sum of what its groups of three characters mean, so that words are
recognised wherever they stand. Not the paper's policy (docs/differences.md, "Training").
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from gymnasium import spaces
from sample_factory.model.model_utils import nonlinearity
from torch import Tensor, nn

from motif.blstats import BLSTATS_SIZE
from motif.games.nethack.observations import CROP, NUM_COLORS
from motif.messages import MESSAGE_LENGTH
from sample_factory_ext.settings import RLSettings
from sample_factory_ext.status_encoder import MapLayers, StatusEncoder

CHARACTERS = 256
CELL_FEATURES, CELL_SCALE = 16, 0.3
CHANNELS = (32, 64)  # of the convolutions, each of which halves the sides; further ones have 64
SMALLEST_SIDE = 4
LARGEST_SIDE = 32  # that is halved, not divided by four
MAP_FEATURES, STATUS_FEATURES, MESSAGE_FEATURES = 128, 64, 64
GRAM, BUCKETS = 3, 4096  # characters, and how many groups of them are told apart
GRAM_SCALE = 0.1


class Cells(nn.Module):
    """Cells (B, 12, 12) to (B, 16, 12, 12): the vector of the character plus that of the colour."""

    def __init__(self) -> None:
        super().__init__()
        self.character = nn.Parameter(torch.randn(CHARACTERS, CELL_FEATURES) * CELL_SCALE)
        self.color = nn.Parameter(torch.randn(NUM_COLORS, 1, CELL_FEATURES) * CELL_SCALE)

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


class Pixels(nn.Module):
    """Pictures (B, 3, H, W) of bytes to floats of 0 to 1, channels last."""

    def forward(self, picture: Tensor) -> Tensor:
        """Scale them."""
        return picture.to(torch.float32, memory_format=torch.channels_last) / 255


def _convolutions(cfg: RLSettings, channels: int, sides: tuple[int, int]) -> nn.Sequential:
    """(B, ``channels``, *``sides``) to (B, 128): the sides are halved until 4 or less are left.

    Large ones are divided by four first, with the kernel of the Atari networks (Mnih et al., 2015):
    their second layer would be most of the work.
    """
    layers: list[nn.Module] = []
    while max(sides) > SMALLEST_SIDE:
        out = CHANNELS[min(len(layers) // 2, len(CHANNELS) - 1)]
        kernel, stride = (8, 4) if min(sides) > LARGEST_SIDE else (3, 2)
        padding = (kernel - stride + 1) // 2
        layers += [nn.Conv2d(channels, out, kernel, stride, padding), nonlinearity(cfg)]
        height, width = ((side + 2 * padding - kernel) // stride + 1 for side in sides)
        channels, sides = out, (height, width)
    features = channels * sides[0] * sides[1]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(features, MAP_FEATURES), nonlinearity(cfg)
    )


class CompactEncoder(StatusEncoder):
    """``cells``, ``picture``, ``blstats`` and ``message``, or some of them, to (B, ``out_size``).

    With cells, status and message, as in NetHack, 283 features come out.
    """

    def __init__(self, cfg: RLSettings, obs_space: spaces.Dict) -> None:
        super().__init__(cfg)
        self._reads = set(obs_space.spaces)
        self.out_size = MESSAGE_FEATURES
        if "cells" in self._reads:
            convolutions = _convolutions(cfg, CELL_FEATURES, (CROP, CROP))
            self.map = MapLayers(Cells(), convolutions)
            self.out_size += MAP_FEATURES
        if "picture" in self._reads:
            channels, height, width = cast(spaces.Box, obs_space["picture"]).shape
            convolutions = _convolutions(cfg, channels, (height, width))
            # a quarter less time on a CPU
            convolutions = convolutions.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.picture = MapLayers(Pixels(), convolutions)
            self.out_size += MAP_FEATURES
        if "blstats" in self._reads:
            self.status_head = nn.Sequential(
                nn.Linear(BLSTATS_SIZE, STATUS_FEATURES), nonlinearity(cfg)
            )
            self.out_size += STATUS_FEATURES + BLSTATS_SIZE
        self.message_head = nn.Sequential(
            MessageGrams(), nonlinearity(cfg), nn.Linear(MESSAGE_FEATURES, MESSAGE_FEATURES)
        )

    def forward(self, obs_dict: dict[str, Tensor]) -> Tensor:
        """Features of a batch of observations."""
        features = []
        if "cells" in self._reads:
            features.append(self.map(obs_dict["cells"]))
        if "picture" in self._reads:
            features.append(self.picture(obs_dict["picture"]))
        if "blstats" in self._reads:
            status = self.status(obs_dict["blstats"])
            features += [self.status_head(status), status]
        return torch.cat((*features, self.message_head(obs_dict["message"])), dim=1)

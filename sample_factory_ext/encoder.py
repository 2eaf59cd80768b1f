"""The policy's encoders.

``nle_rgbcrop_encoder`` (paper, appendix on the agent) reads picture, status and message. The cells
of the screen travel: on a GPU the picture is drawn here, whole batches at a time; on the CPU the
first layer reads the cells themselves. ``nle_torchbeast_encoder`` is the reward model's network,
``nle_compact_encoder`` our own small one (:mod:`sample_factory_ext.compact_encoder`).

Differs from the release: the latter always reads the status (``--use_blstats`` is off by default
there); its branches for glyphs and a crop of them, off by default too, are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from gymnasium import spaces
from sample_factory.model.model_utils import nonlinearity
from torch import Tensor, nn

from motif.games.nethack.observations import CROP, TILE, tiles
from motif.reward.encoder import EncoderSettings, RewardEncoder
from sample_factory_ext.compact_encoder import CompactEncoder
from sample_factory_ext.settings import (
    COMPACT_ENCODER,
    MESSAGE_ENCODER,
    POLICY_ENCODER,
    REWARD_ENCODER,
    RLSettings,
)
from sample_factory_ext.status_encoder import MapLayers, StatusEncoder
from sample_factory_ext.tile_convolution import KERNEL, STRIDE, TileConvolution

CONVOLUTIONS = {  # channels out, kernel, stride
    "convnet_simple": ((32, KERNEL, STRIDE), (64, 4, 2), (128, 3, 2)),
    "convnet_impala": ((16, KERNEL, STRIDE), (32, 4, 2)),
    "convnet_atari": ((32, KERNEL, STRIDE), (64, 4, 2), (64, 3, 1)),
}
HEAD_FEATURES = 128


class MessagePolicyEncoder(StatusEncoder):
    """``message`` and, where a game has it, ``blstats`` to (B, ``encoder_hidden_dim``)."""

    def __init__(self, cfg: RLSettings, obs_space: spaces.Dict) -> None:
        super().__init__(cfg)
        flags = {name: getattr(cfg, name) for name in MESSAGE_ENCODER}
        given = {name: value for name, value in flags.items() if value is not None}
        self._reads_status = "blstats" in obs_space.spaces
        settings = EncoderSettings(use_blstats=self._reads_status, **given)
        self.network = RewardEncoder(settings)
        self.out_size = settings.encoder_hidden_dim

    def apply(self, fn: Callable[[nn.Module], None]) -> MessagePolicyEncoder:
        """Initialise linear layers alone; the rest keeps torch's defaults, as in the release."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                fn(module)
        return self

    def forward(self, obs_dict: dict[str, Tensor]) -> Tensor:
        """Features of a batch of observations."""
        status = self.status(obs_dict["blstats"]) if self._reads_status else None
        features: Tensor = self.network(self.network.message(obs_dict["message"]), status)
        return features


class Drawing(nn.Module):
    """Cells (B, 12, 12) to pictures (B, 3, 72, 72), pixels divided by ``scale``, channels last."""

    tile_rows: Tensor
    row_offsets: Tensor

    def __init__(self, scale: float) -> None:
        super().__init__()
        rows = torch.from_numpy(tiles()).permute(0, 2, 3, 1).reshape(-1, TILE * 3)
        # One row of a tile: 6 pixels of 3 channels. Fixed, so it stays out of checkpoints.
        self.register_buffer("tile_rows", rows.float() / scale, persistent=False)
        offsets = torch.arange(TILE, dtype=torch.int32)[:, None]
        self.register_buffer("row_offsets", offsets, persistent=False)

    def forward(self, cells: Tensor) -> Tensor:
        """Look up each row of pixels."""
        rows = cells.int()[:, :, None, :] * TILE + self.row_offsets  # (B, 12, 6, 12)
        pixels = F.embedding(rows, self.tile_rows)
        return pixels.view(-1, CROP * TILE, CROP * TILE, 3).permute(0, 3, 1, 2)


class PolicyEncoder(StatusEncoder):
    """``cells``, ``blstats`` and ``message`` to (B, 795)."""

    def __init__(self, cfg: RLSettings, obs_space: spaces.Dict) -> None:
        super().__init__(cfg)
        self.draw = Drawing(cfg.picture_scale)
        self.picture_net, picture_size = _picture_net(cfg)
        drawn = torch.from_numpy(tiles()).float() / cfg.picture_scale
        self._first_layer = TileConvolution(drawn) if cfg.nonlinearity == "elu" else None
        status_size = cast(spaces.Box, obs_space["blstats"]).shape[0]
        self.status_head = _head(cfg, status_size)
        self.message_head = _head(cfg, cast(spaces.Box, obs_space["message"]).shape[0])
        self.out_size = picture_size + HEAD_FEATURES + status_size + HEAD_FEATURES

    def forward(self, obs_dict: dict[str, Tensor]) -> Tensor:
        """Features of a batch of observations."""
        picture = self._read_picture(obs_dict["cells"])
        status = self.status(obs_dict["blstats"])
        message = obs_dict["message"].float() / 255
        heads = self.status_head(status), status, self.message_head(message)
        return torch.cat((picture, *heads), dim=1)

    def _read_picture(self, cells: Tensor) -> Tensor:
        if self._first_layer is None or not cells.is_cpu:
            features: Tensor = self.picture_net(self.draw(cells))
            return features
        first, second = (cast(nn.Conv2d, self.picture_net[layer]) for layer in (0, 2))
        bias = cast(Tensor, first.bias)
        features = self._first_layer(cells, first.weight, bias, _size_read(second))
        for layer in list(self.picture_net)[2:]:
            features = layer(features)
        return features


def _picture_net(cfg: RLSettings) -> tuple[MapLayers, int]:
    """The network, and how many features it gives: as many as the GRU has, 512 in the paper."""
    layers: list[nn.Module] = []
    channels, size = 3, CROP * TILE
    for out, kernel, stride in CONVOLUTIONS[cfg.encoder_conv_architecture]:
        layers += [nn.Conv2d(channels, out, kernel, stride), nonlinearity(cfg)]
        channels, size = out, (size - kernel) // stride + 1
    layers.append(nn.Flatten())
    features = channels * size * size
    for _ in range(cfg.encoder_extra_fc_layers):
        layers += [nn.Linear(features, cfg.rnn_size), nonlinearity(cfg)]
        features = cfg.rnn_size
    network = MapLayers(*layers)
    return network.to(memory_format=torch.channels_last), features  # type: ignore[call-overload]


def _size_read(second: nn.Conv2d) -> int:
    """How much of the first layer's output (17x17) the second one reads a side."""
    size = (CROP * TILE - KERNEL) // STRIDE + 1
    kernel, stride = second.kernel_size[0], second.stride[0]
    return (size - kernel) // stride * stride + kernel


def _head(cfg: RLSettings, features: int) -> nn.Sequential:
    layers = nn.Linear(features, HEAD_FEATURES), nn.Linear(HEAD_FEATURES, HEAD_FEATURES)
    return nn.Sequential(layers[0], nonlinearity(cfg), layers[1], nonlinearity(cfg))


ENCODERS = {
    POLICY_ENCODER: PolicyEncoder,
    COMPACT_ENCODER: CompactEncoder,
    REWARD_ENCODER: MessagePolicyEncoder,
}


def make_encoder(cfg: RLSettings, obs_space: spaces.Dict) -> StatusEncoder:
    """The factory that Sample Factory calls."""
    return ENCODERS[cfg.encoder_custom](cfg, obs_space)

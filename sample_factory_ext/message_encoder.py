"""The policy's encoder ``nle_torchbeast_encoder``: the reward model's network, message and status.

Differs from the release: its branches for glyphs and a crop of them, off by default there, are left
out; the policy that sees the map is ``nle_rgbcrop_encoder``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from sample_factory.model.encoder import Encoder
from torch import Tensor, nn

from motif.blstats import BLSTATS_CLIP, BLSTATS_SCALE
from motif.reward.encoder import EncoderSettings, RewardEncoder

FLAGS = ("encoder_msg_model", "encoder_embedding_dim", "encoder_hidden_dim")


class MessagePolicyEncoder(Encoder):
    """``blstats`` and ``message`` of a compact observation to (B, ``encoder_hidden_dim``)."""

    def __init__(self, cfg: Any, obs_space: Any) -> None:
        super().__init__(cfg)
        given = {name: getattr(cfg, name) for name in FLAGS if getattr(cfg, name) is not None}
        settings = EncoderSettings(use_blstats=True, **given)
        self.network = RewardEncoder(settings)
        self.register_buffer("blstats_scale", torch.from_numpy(BLSTATS_SCALE), persistent=False)
        self._out_size = settings.encoder_hidden_dim

    def apply(self, fn: Callable[[nn.Module], None]) -> MessagePolicyEncoder:
        """Initialise linear layers alone; the rest keeps torch's defaults, as in the release."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                fn(module)
        return self

    def forward(self, obs_dict: dict[str, Tensor]) -> Tensor:
        status = (obs_dict["blstats"] * self.blstats_scale).clamp(-BLSTATS_CLIP, BLSTATS_CLIP)
        features: Tensor = self.network(self.network.message(obs_dict["message"]), status.float())
        return features

    def get_out_size(self) -> int:
        return self._out_size

    def type_for_input_tensor(self, input_tensor_name: str) -> torch.dtype:
        """Observations stay as they are: integers."""
        return {"cells": torch.int16, "blstats": torch.int64, "message": torch.uint8}[
            input_tensor_name
        ]

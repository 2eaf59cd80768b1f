"""The policy's encoder ``nle_torchbeast_encoder``: the reward model's network, message and status.

Differs from the release: the status is always read (``--use_blstats`` is off by default there); its
branches for glyphs and a crop of them, off by default too, are left out. The policy that sees the
map is ``nle_rgbcrop_encoder``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from motif.reward.encoder import EncoderSettings, RewardEncoder
from sample_factory_ext.status_encoder import StatusEncoder

FLAGS = ("encoder_msg_model", "encoder_embedding_dim", "encoder_hidden_dim")


class MessagePolicyEncoder(StatusEncoder):
    """``message`` and, where a game has it, ``blstats`` to (B, ``encoder_hidden_dim``)."""

    def __init__(self, cfg: Any, obs_space: Any) -> None:
        super().__init__(cfg)
        given = {name: getattr(cfg, name) for name in FLAGS if getattr(cfg, name) is not None}
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
        status = self.status(obs_dict["blstats"]) if self._reads_status else None
        features: Tensor = self.network(self.network.message(obs_dict["message"]), status)
        return features

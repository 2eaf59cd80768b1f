"""What the policy's encoders share: integers in, the status scaled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from sample_factory.model.encoder import Encoder
from torch import Tensor, nn

from motif.blstats import BLSTATS_CLIP, BLSTATS_SCALE
from sample_factory_ext.settings import RLSettings

TYPES = {
    "cells": torch.int16,
    "picture": torch.uint8,
    "blstats": torch.int64,
    "message": torch.uint8,
    "trace": torch.int64,
}


class MapLayers(nn.Sequential):
    """Convolutions and a linear layer, initialised by torch's defaults.

    In the release torch.jit hides this block from the orthogonal initialisation of the rest.
    """

    def apply(self, fn: Callable[[nn.Module], None]) -> MapLayers:
        """Leave the weights as they are."""
        return self


class StatusEncoder(Encoder):
    """A subclass says what comes out, ``out_size`` wide."""

    out_size: int
    blstats_scale: Tensor

    def __init__(self, cfg: RLSettings) -> None:
        super().__init__(cfg)
        self.register_buffer("blstats_scale", torch.from_numpy(BLSTATS_SCALE), persistent=False)

    def status(self, blstats: Tensor) -> Tensor:
        """(B, 27) integers to float32, as :func:`motif.blstats.scale_blstats` scales them."""
        return (blstats * self.blstats_scale).clamp(-BLSTATS_CLIP, BLSTATS_CLIP).float()

    def get_out_size(self) -> int:
        """Sample Factory's question."""
        return self.out_size

    def type_for_input_tensor(self, input_tensor_name: str) -> torch.dtype:
        """Observations stay as they are: integers."""
        return TYPES[input_tensor_name]

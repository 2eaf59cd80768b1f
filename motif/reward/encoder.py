"""The message encoder: a character CNN (Zhang et al. 2015) and the trunk behind it.

Shapes: ``U`` messages, ``C`` characters, ``H`` channels, ``L`` positions along the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motif.blstats import BLSTATS_SIZE
from motif.cli import option
from motif.errors import ConfigError

ENCODER_NAME = "nle_torchbeast_encoder"
PADDING = 0  # the byte that fills a message up; embedded as it was initialised, never trained
POOL = 3
WIDTH_STEP = 27  # characters; messages of similar length are encoded together


@dataclass(frozen=True)
class MessageModel:
    """The layers of one message model."""

    characters: int  # of the message that are read
    embedding: int
    channels: int
    convolutions: tuple[tuple[int, bool], ...]  # kernel size, max-pool after it
    linears: tuple[int, ...]

    @property
    def positions(self) -> int:
        """How many positions are left after the last convolution."""
        length = self.characters
        for kernel, pooled in self.convolutions:
            length = (length - kernel + 1) // (POOL if pooled else 1)
        return length


MESSAGE_MODELS = {
    "lt_cnn": MessageModel(
        characters=256,
        embedding=32,
        channels=64,
        convolutions=((7, True), (7, True), (3, False), (3, False), (3, False), (3, True)),
        linears=(128,),
    ),
    "lt_cnn_small": MessageModel(
        characters=128,
        embedding=16,
        channels=32,
        convolutions=((7, True), (7, True), (3, True)),
        linears=(32, 32),
    ),
}


@dataclass(frozen=True)
class EncoderSettings:
    """What fixes the shape of the network; the names are those of the flags."""

    reward_encoder: str = option(ENCODER_NAME, "the network", choices=[ENCODER_NAME])
    encoder_msg_model: str = option(
        "lt_cnn",
        "its message encoder: the paper's, or a smaller one of the first 128 characters",
        choices=list(MESSAGE_MODELS),
    )
    encoder_embedding_dim: int = option(128, "width of the blstats branch")
    encoder_hidden_dim: int = option(512, "width of the encoder's output")
    use_blstats: bool = option(False, "read the bottom-line statistics beside the message")

    def __post_init__(self) -> None:
        if self.reward_encoder != ENCODER_NAME:
            raise ConfigError(
                f"--reward_encoder {self.reward_encoder}: the only one is {ENCODER_NAME}"
            )
        if self.encoder_msg_model not in MESSAGE_MODELS:
            raise ConfigError(
                f"--encoder_msg_model {self.encoder_msg_model}: choose one of "
                + ", ".join(MESSAGE_MODELS)
            )
        for name in ("encoder_embedding_dim", "encoder_hidden_dim"):
            if getattr(self, name) < 2:
                raise ConfigError(f"--{name} {getattr(self, name)}: it must be at least 2")


class MessageEncoder(nn.Module):
    """Message bytes to features.

    Most messages are far shorter than 256 bytes. Behind its last character a message is padding,
    where a layer has the same output at every position. So messages are cut there, and each layer
    repeats its last column as far as the next one reads: the result and its gradient are those of
    the plain network, up to rounding.
    """

    def __init__(self, layers: MessageModel) -> None:
        super().__init__()
        self.layers = layers
        self.embedding = nn.Embedding(256, layers.embedding, padding_idx=PADDING)
        inputs = [layers.embedding] + [layers.channels] * len(layers.convolutions)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, layers.channels, kernel)
            for channels, (kernel, _) in zip(inputs, layers.convolutions)
        )
        sizes = (layers.positions * layers.channels, *layers.linears)
        self.linears = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.output_size = sizes[-1]

    def forward(self, messages_UC: Tensor) -> Tensor:
        """(U, 256) uint8 to (U, output_size) float32."""
        features = self._convolve_by_length(messages_UC[:, : self.layers.characters])
        for linear in self.linears:
            features = F.relu(linear(features))
        return features

    def _convolve_by_length(self, messages_UC: Tensor) -> Tensor:
        if messages_UC.is_cuda:  # there launches cost more than arithmetic
            return self._convolve(messages_UC)
        positions = torch.arange(1, messages_UC.shape[1] + 1)
        steps_U = torch.where(messages_UC != PADDING, positions, 0).amax(1) // WIDTH_STEP
        steps = sorted(set(steps_U.tolist()))
        if len(steps) == 1:
            return self._convolve(messages_UC[:, : (steps[0] + 1) * WIDTH_STEP])
        rows = [(steps_U == step).nonzero()[:, 0] for step in steps]
        blocks = [
            self._convolve(messages_UC[row, : (step + 1) * WIDTH_STEP])
            for row, step in zip(rows, steps)
        ]
        return torch.cat(blocks)[torch.cat(rows).argsort()]

    def _convolve(self, messages_UC: Tensor) -> Tensor:
        """Features before the linear layers: (U, channels · positions).

        Messages are whole, or cut behind at least one byte of padding: that their last column, and
        with it the last column of every layer, stands for all that follow.
        """
        columns_UHL = self.embedding(messages_UC.long()).transpose(1, 2)
        length = self.layers.characters  # of the whole message at this layer
        for convolution, (kernel, pooled) in zip(self.convolutions, self.layers.convolutions):
            length -= kernel - 1
            kept = min(columns_UHL.shape[2], length)
            columns_UHL = convolution(_resize(columns_UHL, kept + kernel - 1))
            if pooled:
                length //= POOL
                kept = min((kept - 2) // POOL + 2, length)  # one column of the last value alone
                columns_UHL = F.max_pool1d(_resize(columns_UHL, kept * POOL), POOL)
            columns_UHL = F.relu(columns_UHL)
        return _resize(columns_UHL, length).flatten(1)


def _resize(columns_UHL: Tensor, length: int) -> Tensor:
    """Cut to ``length`` columns, or repeat the last one up to there."""
    missing = length - columns_UHL.shape[2]
    if missing <= 0:
        return columns_UHL[:, :, :length]
    return F.pad(columns_UHL, (0, missing), mode="replicate")


class RewardEncoder(nn.Module):
    """Message features, and with ``use_blstats`` the status line's, through the trunk."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__()
        self.message = MessageEncoder(MESSAGE_MODELS[settings.encoder_msg_model])
        width, hidden = settings.encoder_embedding_dim, settings.encoder_hidden_dim
        inputs = self.message.output_size
        self.blstats: nn.Sequential | None = None
        if settings.use_blstats:
            self.blstats = nn.Sequential(
                nn.Linear(BLSTATS_SIZE, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
            )
            inputs += width
        self.trunk = nn.Sequential(
            nn.Linear(inputs, hidden // 2), nn.ReLU(), nn.Linear(hidden // 2, hidden)
        )

    def forward(self, features: Tensor, blstats: Tensor | None) -> Tensor:
        """Message features (..., F) and scaled blstats (..., 27) to (..., encoder_hidden_dim)."""
        if self.blstats is not None:
            if blstats is None:
                raise ValueError("this reward model reads blstats; pass them with the messages")
            features = torch.cat([self.blstats(blstats), features], dim=-1)
        encoded: Tensor = self.trunk(features)
        return encoded

"""scripts.main on the plain path, to compare with: the method as one would write it down first.

Each environment draws its picture at each step, and it travels to the learner; the reward model
reads the message of every step, the same message over and over; games are sampled one by one. Task,
network, learner and rewards are those of scripts.main; the flags too.

    python -m benchmarks.plain_path --train_dir DIR --experiment NAME …
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from motif.games.game import find_game
from motif.games.nethack.observations import COMPACT_SPACE, PICTURE_SPACE, picture_observation
from motif.games.policy_view import PolicyView
from motif.intrinsic.terms import LearntReward
from motif.intrinsic.wrapper import IntrinsicReward
from sample_factory_ext import environment, train
from sample_factory_ext.encoder import PolicyEncoder


class EveryMessage(dict[bytes, float]):
    """Rewards that are computed each time."""

    def __init__(self, score: Any) -> None:
        super().__init__()
        self._score = score

    def __missing__(self, message: bytes) -> float:
        return float(self._score(np.frombuffer(message, np.uint8)[None])[0])


def plain_env(name: str, cfg: Any, env_config: Any = None, render_mode: Any = None) -> Any:
    """The environment of scripts.main with the picture in the observation and no memo."""
    rewarded: Any = environment.make_env(name, cfg, env_config)
    while not isinstance(rewarded, IntrinsicReward):
        rewarded = rewarded.env
    if isinstance(rewarded.term, LearntReward):
        rewarded.term.rewards = EveryMessage(rewarded.term.rewards._score)
    env = PolicyView(rewarded, PICTURE_SPACE, picture_observation)
    return environment.EpisodeSummary(env, find_game(cfg.game).info_columns)


class PictureEncoder(PolicyEncoder):
    """The same network, reading the picture itself."""

    def __init__(self, cfg: Any, obs_space: Any) -> None:
        super().__init__(cfg, COMPACT_SPACE)
        self.scale = cfg.picture_scale

    def forward(self, obs_dict: dict[str, Tensor]) -> Tensor:
        """Features of the observations."""
        picture = self.picture_net(obs_dict["picture"] / self.scale)
        status, message = obs_dict["vector_obs"], obs_dict["message"] / 255
        heads = self.status_head(status), status, self.message_head(message)
        return torch.cat((picture, *heads), dim=1)

    def type_for_input_tensor(self, input_tensor_name: str) -> torch.dtype:
        """Everything is brought to float32 first."""
        return torch.float32


def main(argv: Sequence[str] | None = None) -> int:
    """Train, with scripts.main's flags."""
    flags = sys.argv[1:] if argv is None else list(argv)
    with mock.patch.multiple(train, make_env=plain_env, make_encoder=PictureEncoder):
        return train.train([*flags, "--batched_sampling", "False"])


if __name__ == "__main__":
    sys.exit(main())

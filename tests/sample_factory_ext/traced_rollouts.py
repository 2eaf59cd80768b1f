"""Trains with a bonus, and writes down which steps of which games each batch holds, in its order.

    python traced_rollouts.py [flags of scripts.main]

Run by test_bonus_learner.py, as a program of its own; Sample Factory's processes import it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import numpy as np
from sample_factory.algo.learning.learner import Learner

from sample_factory_ext import train
from sample_factory_ext.environment import make_env

STEPS = 45  # of a game; no multiple of a rollout


def short_env(name, cfg, env_config=None, render_mode=None):
    gymnasium.registry[cfg.root_env].kwargs["max_episode_steps"] = STEPS
    return make_env(name, cfg, env_config)


def write_traces():
    original = Learner.train

    def train_on(self, batch):
        path = Path(self.cfg.train_dir) / f"batch_{self.train_step:03d}.npy"
        np.save(path, batch["obs"]["trace"][:, :-1].numpy())
        return original(self, batch)

    Learner.train = train_on


if __name__ in ("__main__", "__mp_main__"):
    write_traces()

if __name__ == "__main__":
    train.make_env = short_env
    sys.exit(train.train())

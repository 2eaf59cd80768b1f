"""Trains with seeded games whose keys are scripted, and writes down what each step paid.

    python scripted_games.py FOLDER [flags of scripts.main]

Run by test_sampling.py, as a program of its own: Sample Factory's workers import the environment's
factory from here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gymnasium
import numpy as np

from sample_factory_ext import train
from sample_factory_ext.environment import make_env

STEPS = 30


class ScriptedGames(gymnasium.Wrapper):
    """Plays its own keys, whatever it is told, in games that its number fixes."""

    def __init__(self, env, number, folder):
        super().__init__(env)
        self.number, self.folder, self.games = number, folder, 0

    def reset(self, **kwargs):
        self.rng = np.random.default_rng([self.number, self.games])
        core, display = (int(seed) for seed in self.rng.integers(2**31, size=2))
        self.env.unwrapped.seed(core, display, False)
        self.rewards = []
        return self.env.reset()

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(self.rng.integers(23))
        self.rewards.append(reward)
        if terminated or truncated:
            path = self.folder / f"{self.number}_{self.games}.json"
            path.write_text(json.dumps(self.rewards))
            self.games += 1
        return observation, reward, terminated, truncated, info


def scripted_env(name, cfg, env_config=None, render_mode=None):
    gymnasium.registry[cfg.root_env].kwargs["max_episode_steps"] = STEPS
    env = make_env(name, cfg, env_config)
    if env_config is None:  # the one that is only looked at
        return env
    return ScriptedGames(env, env_config["env_id"], Path(cfg.save_dir))


if __name__ == "__main__":
    train.make_env = scripted_env
    sys.exit(train.train(["--save_dir", *sys.argv[1:]]))

"""Trains with seeded games whose keys are scripted, and writes down what was paid.

    python scripted_games.py FOLDER [flags of scripts.main]

Each game's rewards as the environment paid them, each batch's as they reached the learner. Run by
test_sampling.py, as a program of its own: Sample Factory's processes import the environment's
factory from here.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
from sample_factory.algo.learning.learner import Learner

from sample_factory_ext import train
from sample_factory_ext.environment import make_env

STEPS = 30  # a game at most
PATIENCE = 120.0  # seconds that a worker waits for the others


class ScriptedGames(gymnasium.Wrapper):
    """Plays its own keys, whatever it is told, in games that its number fixes."""

    def __init__(self, env, number):
        super().__init__(env)
        self.number, self.games = number, 0

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
            self.over()
            self.games += 1
        return observation, reward, terminated, truncated, info

    def over(self):
        """The game is."""


class WrittenGames(ScriptedGames):
    """Writes each game into ``folder``; no worker is more than a game ahead of the others.

    Otherwise one of them might play all that is trained on while another starts. Once all of that
    is played the others may have ended, and nobody waits.
    """

    def __init__(self, env, number, folder, worker, cfg):
        super().__init__(env, number)
        self.folder, self.worker, self.workers = folder, worker, cfg.num_workers
        self.batches = -(-cfg.train_for_env_steps // cfg.batch_size)

    def reset(self, **kwargs):
        self._mark(self.worker, self.games).touch()
        return super().reset(**kwargs)

    def step(self, action):
        if not self.rewards:
            deadline = time.monotonic() + PATIENCE
            behind = [self._mark(worker, max(0, self.games - 1)) for worker in range(self.workers)]
            while not all(mark.exists() for mark in behind) and not self._trained():
                assert time.monotonic() < deadline, f"no {behind}"
                time.sleep(0.01)
        return super().step(action)

    def _trained(self):
        return len(list(self.folder.glob("batch_*.npz"))) >= self.batches

    def _mark(self, worker, game):
        return self.folder / f"worker_{worker}_plays_{game}"

    def over(self):
        path = self.folder / f"{self.number}_{self.games}.json"
        path.write_text(json.dumps(self.rewards))


def scripted_env(name, cfg, env_config=None, render_mode=None):
    gymnasium.registry[cfg.root_env].kwargs["max_episode_steps"] = STEPS
    env = make_env(name, cfg, env_config)
    if env_config is None:  # the one that is only looked at
        return env
    where = Path(cfg.save_dir), env_config["worker_index"]
    return WrittenGames(env, env_config["env_id"], *where, cfg)


def write_batches():
    """Have the learner of this process write the rewards and ends of each batch that it gets."""
    original = Learner.train

    def train_on(self, batch):
        path = Path(self.cfg.save_dir) / f"batch_{self.train_step:03d}.npz"
        np.savez(path, rewards=batch["rewards"].cpu(), dones=batch["dones"].cpu())
        return original(self, batch)

    Learner.train = train_on


if __name__ in ("__main__", "__mp_main__"):  # the program, and the processes that it spawns
    write_batches()

if __name__ == "__main__":
    train.make_env = scripted_env
    sys.exit(train.train(["--save_dir", *sys.argv[1:]]))

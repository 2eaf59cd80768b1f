"""Rollouts as Sample Factory's learner gets them, made up, for the tests of bonuses."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from motif.games.nethack.observations import COMPACT_SPACE
from sample_factory_ext.bonuses import BONUSES
from sample_factory_ext.parameters import parse_rl_args

ACTIONS = 5
LINE = "--num_workers 1 --num_envs_per_worker 4 --rnd_features 8 --e3b_features 8 --bonus_reward 1"
SPACE = spaces.Dict({**COMPACT_SPACE.spaces, "trace": spaces.Box(0, 9, (3,), np.int64)})


def settings(name, *flags):
    return parse_rl_args([*LINE.split(), "--bonus", name, *flags])


def make_bonus(name, *flags):
    torch.manual_seed(5)
    return BONUSES[name](settings(name, *flags), SPACE, ACTIONS)


def play(games=4, steps=64, ends=(), seed=0):
    """One long rollout of each game; it ends, and begins anew, after the (game, step) of ``ends``.

    Each observation is the first visit of its episode but every fourth.
    """
    rng = np.random.default_rng(seed)
    shape = games, steps + 1
    dones = torch.zeros(games, steps, dtype=torch.bool)
    trace = torch.zeros(*shape, 3, dtype=torch.int64)
    for game, step in ends:
        dones[game, step] = True
    for game in range(games):
        count = 0
        for step in range(steps + 1):
            count = 0 if step == 0 or dones[game, step - 1] else count + 1
            trace[game, step] = torch.tensor((game, count, step % 4 != 3))
    return {
        "obs": {
            "cells": torch.from_numpy(rng.integers(0, 4096, (*shape, 12, 12)).astype(np.int16)),
            "blstats": torch.from_numpy(rng.integers(0, 20, (*shape, 27))),
            "message": torch.from_numpy(rng.integers(0, 256, (*shape, 256)).astype(np.uint8)),
            "trace": trace,
        },
        "actions": torch.from_numpy(rng.integers(0, ACTIONS, (games, steps, 1))).float(),
        "dones": dones,
        "rewards": torch.zeros(games, steps),
    }


def part(batch, rows, start, stop):
    """Rollouts of some games, from one step to before another."""
    return {
        "obs": {key: values[rows, start : stop + 1] for key, values in batch["obs"].items()},
        **{key: batch[key][rows, start:stop] for key in ("actions", "dones", "rewards")},
    }


def joined(*batches):
    return {
        "obs": {key: torch.cat([each["obs"][key] for each in batches]) for key in SPACE.spaces},
        **{key: torch.cat([b[key] for b in batches]) for key in ("actions", "dones", "rewards")},
    }

"""Play the games that every stack must play alike, on a pinned date; print what came of each."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

from motif.games.nethack.environment import NetHackTask
from motif.games.nethack.explorer import ExplorerPlayer

KEYS = ("glyphs", "message", "blstats", "tty_chars", "tty_colors", "tty_cursor", "inv_strs")


def play(task: str, character: str, seed: int, steps: int) -> list[object]:
    """SHA-256 of all observations and rewards (16 digits), steps, deepest level, how it ended."""
    env = NetHackTask(task, character=character, max_episode_steps=steps, observation_keys=KEYS)
    player = ExplorerPlayer([int(key) for key in env.actions])
    player.reset(np.random.default_rng(seed))
    env.seed(seed, seed + 1, reseed=False)
    observation, info = env.reset()
    seen, ended, played = hashlib.sha256(), False, 0
    while not ended:
        for key in KEYS:
            seen.update(observation[key])
        observation, reward, ended, _, info = env.step(player.act(observation))
        seen.update(np.float64(reward))
        played += 1
    env.close()
    return [seen.hexdigest()[:16], played, info["deepest"], info["end_status"].name]


if __name__ == "__main__":
    print(json.dumps([play(*game) for game in json.loads(sys.argv[1])]))

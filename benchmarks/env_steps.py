"""How fast the environment steps, against the bare game.

    python -m benchmarks.env_steps

The same seeded games are played by

- ``raw``: NLE's ``Nethack.step`` with the very keys that the task presses, nothing else;
- ``task``: ``NetHackScore-v1`` with NLE's own observations;
- ``compact``: with the observations that Sample Factory's workers send (cells, status, message);
- ``picture``: with those of the paper, the picture drawn in the environment;
- ``reward_off``: ``compact`` as trained with ``--llm_reward 0.0``;
- ``reward_cold``, ``reward_warm``: with the intrinsic reward, its memo empty at first, and full.

CPU microseconds a step of one process, median of alternated runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import gymnasium
import numpy as np
import torch

from benchmarks.report import report
from motif.games.nethack.adapter import NetHack
from motif.games.nethack.observations import PICTURE_SPACE, picture_observation
from motif.games.policy_view import PolicyView
from motif.intrinsic.terms import LearntReward, MessageRewards
from motif.intrinsic.wrapper import IntrinsicReward
from motif.reward.encoder import EncoderSettings
from motif.reward.model import RewardModel
from motif.types import AnyArray, MessageArray

SEED = 1
GAME = NetHack()
make_task = partial(GAME.make, "NetHackScore-v1")


class KeyRecorder:
    """Stands between a task and its game, and notes the keys; None is a reset."""

    def __init__(self, game: Any) -> None:
        self._game = game
        self.keys: list[int | None] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._game, name)

    def step(self, key: int) -> Any:
        """Note the key, and press it."""
        self.keys.append(key)
        return self._game.step(key)

    def reset(self, *args: Any, **kwargs: Any) -> Any:
        """Note that a game begins."""
        self.keys.append(None)
        return self._game.reset(*args, **kwargs)


def compact_view(env: gymnasium.Env) -> PolicyView:
    """The observations that Sample Factory's workers send."""
    return PolicyView(env, GAME.policy_space, GAME.policy_observation)


def play(env: gymnasium.Env, actions: list[int]) -> None:
    """Play seeded games one after the other."""
    env.unwrapped.seed(SEED, SEED, False)
    env.reset()
    for action in actions:
        *_, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.unwrapped.seed(SEED, SEED, False)
            env.reset()


def record_keys(actions: list[int]) -> list[int | None]:
    """The keys that the task presses in those games."""
    env = make_task()
    task = env.unwrapped
    game, task.nethack = task.nethack, KeyRecorder(task.nethack)
    play(env, actions)
    recorder, task.nethack = task.nethack, game
    return recorder.keys


def replay(game: Any, keys: list[int | None]) -> None:
    """Press the keys, and nothing else."""
    for key in keys:
        if key is None:
            game.set_initial_seeds(SEED, SEED, False)
            game.reset()
        else:
            game.step(key)


def scorer() -> Callable[[MessageArray], AnyArray]:
    """An untrained reward model: as fast as a trained one."""
    model = RewardModel(EncoderSettings()).eval()

    def score(messages_UC: MessageArray) -> AnyArray:
        with torch.inference_mode():
            return model(torch.from_numpy(messages_UC.copy())).numpy()

    return score


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000, help="of one run")
    parser.add_argument("--rounds", type=int, default=5, help="alternations")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    actions = np.random.default_rng(SEED).integers(0, 23, arguments.steps).tolist()
    keys = record_keys(actions)
    bare = make_task().unwrapped  # closes its game when it goes
    score = scorer()
    warm = MessageRewards(score)
    play(IntrinsicReward(make_task(), LearntReward(warm)), actions)

    def rewarded(rewards: MessageRewards | None) -> None:
        term = None if rewards is None else LearntReward(rewards)
        play(compact_view(IntrinsicReward(base, term)), actions)

    task, base = make_task(), make_task()
    compact = compact_view(make_task())
    picture = PolicyView(make_task(), PICTURE_SPACE, picture_observation)
    runs: dict[str, Callable[[], None]] = {
        "raw": lambda: replay(bare.nethack, keys),
        "task": lambda: play(task, actions),
        "compact": lambda: play(compact, actions),
        "picture": lambda: play(picture, actions),
        "reward_off": lambda: rewarded(None),
        "reward_cold": lambda: rewarded(MessageRewards(score)),
        "reward_warm": lambda: rewarded(warm),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            times[name].append((time.process_time() - start) / arguments.steps * 1e6)
    figures = {f"{name}_us": round(median(values), 2) for name, values in times.items()}
    pairs = [(name, "raw") for name in ("task", "compact", "picture")]
    ratios = {f"{a}_speed_of_raw": _ratio(times[b], times[a]) for a, b in pairs}
    ratios |= {
        f"{name}_cost": round(_ratio(times[name], times["reward_off"]) - 1, 4)
        for name in ("reward_cold", "reward_warm")
    }
    for name, value in figures.items():
        print(f"{name:16s} {value:8.1f} CPU µs a step")
    report("env_steps", {**vars(arguments), **figures}, ratios)
    return 0


def _ratio(numerators: list[float], denominators: list[float]) -> float:
    """Median of the ratios, round by round."""
    return round(median(a / b for a, b in zip(numerators, denominators)), 4)


if __name__ == "__main__":
    sys.exit(main())

"""Batched sampling: one object that plays many games, and reports how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from sample_factory.algo.utils.make_env import (
    BatchedMultiAgentWrapper,
    BatchedVecEnv,
    SequentialVectorizeWrapper,
)
from torch import Tensor

from motif.intrinsic.wrapper import IntrinsicReward, score_together
from motif.types import AnyArray


class GameVector(SequentialVectorizeWrapper):
    """Several games in step, their observations side by side in arrays that are reused.

    Sample Factory's own class makes and copies six tensors for each game and step; the values are
    the same. All games are stepped before the rewards and observations of all of them are made:
    the processor's caches hold one of the two programs at a time (docs/performance.md).

    Args:
        envs: as Sample Factory wraps them, one game each.
    """

    def __init__(self, envs: Sequence[BatchedVecEnv]) -> None:
        super().__init__(envs)
        self._games = [_unwrap(env) for env in envs]
        tasks, layers = zip(*map(_split, self._games))
        self._tasks, self._layers = tasks, list(zip(*layers))
        space = cast(spaces.Dict, self._games[0].observation_space)
        self._arrays = {
            key: np.zeros((len(envs), *(box.shape or ())), box.dtype)
            for key, box in space.spaces.items()
        }
        self.obs = {key: torch.from_numpy(array) for key, array in self._arrays.items()}
        self.rew = torch.zeros(len(envs))
        self.terminated, self.truncated = torch.zeros(2, len(envs), dtype=torch.bool)

    def reset(self, **kwargs: Any) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """Begin a game each."""
        infos = []
        for number, game in enumerate(self._games):
            observation, info = game.reset(**kwargs)
            self._observe(number, observation)
            infos.append(info)
        return self.obs, infos

    def step(self, actions: AnyArray) -> tuple[Any, Tensor, Tensor, Tensor, list[dict[str, Any]]]:
        """One step of each game; those that end begin anew."""
        results = [task.step(action) for task, action in zip(self._tasks, actions.tolist())]
        for layer in self._layers:
            if isinstance(layer[0], IntrinsicReward):
                score_together(layer, results)
            results = [wrapper.after(result) for wrapper, result in zip(layer, results)]
        rewards, infos = self.rew.numpy(), []
        terminations, truncations = self.terminated.numpy(), self.truncated.numpy()
        for number, result in enumerate(results):
            observation, rewards[number], terminated, truncated, info = result
            if terminated or truncated:
                observation, info["reset_info"] = self._games[number].reset()
            self._observe(number, observation)
            terminations[number], truncations[number] = terminated, truncated
            infos.append(info)
        return self.obs, self.rew, self.terminated, self.truncated, infos

    def _observe(self, number: int, observation: dict[str, AnyArray]) -> None:
        for key, array in self._arrays.items():
            array[number] = observation[key]


def _unwrap(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    while isinstance(env, (BatchedVecEnv, BatchedMultiAgentWrapper)):
        env = env.env
    return env


def _split(game: gymnasium.Env[Any, Any]) -> tuple[gymnasium.Env[Any, Any], list[Any]]:
    """What is stepped, and the wrappers that work on what came of it, from the inside out."""
    layers: list[Any] = []
    while "after" in vars(type(game)):
        layers.insert(0, game)
        game = cast(Any, game).env
    return game, layers


def finished_games(infos: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """What the games that ended report, as Sample Factory's batched sampler takes it.

    Returns:
        By name one value a game; those of games that go on mean nothing.
    """
    reports: dict[str, Tensor] = {}
    for number, info in enumerate(infos):
        if "true_objective" in info:
            report = {"true_objective": info["true_objective"], **info["episode_extra_stats"]}
            for name, value in report.items():
                reports.setdefault(name, torch.zeros(len(infos)))[number] = value
    return reports

"""Games of a trained agent, step by step, with both of its rewards.

What watches, records or counts takes a :class:`Game` and its :class:`Step`\\ s from here; the
rewards are those of training, computed by the same wrapper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nle.nethack import NLE_BL_TIME

from motif.games.nethack.tasks import TASKS
from motif.intrinsic.wrapper import IntrinsicReward
from motif.play.players import Player
from motif.types import AnyArray


@dataclass
class Game:
    """What a game has come to so far; names as in ``episodes.csv``."""

    info: dict[str, Any]
    game_return: float = 0.0  # the task's own
    extrinsic_return: float = 0.0  # the two parts of what the agent learns from
    intrinsic_return: float = 0.0
    length: int = 0
    turns: int = 0  # game time
    deepest: int = 0  # depth reached
    seen: Counter[bytes] = field(default_factory=Counter)  # messages
    income: Counter[bytes] = field(default_factory=Counter)  # intrinsic reward paid for each


@dataclass(frozen=True)
class Step:
    """One observation of a game and what came with it."""

    observation: Mapping[str, AnyArray]  # NLE's own arrays: the next step overwrites them
    message: bytes  # its 256 bytes
    count: int  # times seen in this game, this one included
    reward: float  # the task's own
    intrinsic: float  # paid with this step for the message before it, weighted
    ended: bool  # the screen is no longer the game's


def play_game(
    env: IntrinsicReward,
    player: Player,
    llm_reward: float,
    seed: int | None = None,
) -> Iterator[tuple[Step, Game]]:
    """Play one game, from its first observation to the one that ends it.

    Args:
        env: the task, with the intrinsic reward, and NLE's arrays as observation.
        llm_reward: the coefficient that ``env`` has for the intrinsic reward.
        seed: play the same game again, on the same date; None: another one each time.
    """
    rng = np.random.default_rng(seed)
    if seed is not None:
        core, display = (int(number) for number in rng.integers(2**62, size=2))
        env.unwrapped.seed(core, display, False)  # type: ignore[attr-defined]
    player.reset(rng)
    observation, info = env.reset()
    game = Game(info)
    step = _look(game, observation, 0.0, 0.0, False)
    yield step, game
    while not step.ended:
        before = step.message
        observation, total, terminated, truncated, game.info = env.step(player.act(observation))
        intrinsic = llm_reward * game.info["intrinsic_reward"]
        game.length += 1
        game.game_return += game.info["extrinsic_reward"]
        game.intrinsic_return += intrinsic
        game.extrinsic_return += total - intrinsic
        if intrinsic:
            game.income[before] += intrinsic
        reward = game.info["extrinsic_reward"]
        step = _look(game, observation, reward, intrinsic, terminated or truncated)
        yield step, game


def play_to_end(
    env: IntrinsicReward, player: Player, llm_reward: float, seed: int | None = None
) -> Game:
    """What the game of :func:`play_game` comes to in the end."""
    steps = play_game(env, player, llm_reward, seed)
    _, game = next(steps)
    for _ in steps:
        pass
    return game


def _look(
    game: Game, observation: Mapping[str, AnyArray], reward: float, intrinsic: float, ended: bool
) -> Step:
    message = observation["message"].tobytes()
    game.seen[message] += 1
    game.deepest = max(game.deepest, int(game.info["dlvl"]))
    game.turns = max(game.turns, int(observation["blstats"][NLE_BL_TIME]))  # zero at the end
    return Step(observation, message, game.seen[message], reward, intrinsic, ended)


def succeeded(task: str, game: Game) -> bool | None:
    """Whether the task was solved; None for the score task, which has no such thing."""
    return None if TASKS[task].success is None else game.game_return > 0

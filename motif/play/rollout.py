"""One episode, step by step, with both of its rewards: what collecting and watching are made of.

What watches, records or counts takes an :class:`Episode` and its :class:`Step`\\ s from here; the
rewards are those of training, computed by the same wrapper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.games.game import GameAdapter, Observation, Player

if TYPE_CHECKING:
    from motif.intrinsic.wrapper import IntrinsicReward

Seeds = tuple[int, int]


@dataclass
class Returns:
    """What an episode has come to so far; names as in ``episodes.csv``."""

    game_return: float = 0.0  # the task's own
    extrinsic_return: float = 0.0  # the two parts of what the agent learns from
    intrinsic_return: float = 0.0
    length: int = 0

    def add(self, reward: float, info: Mapping[str, Any]) -> float:
        """Count a step of :class:`~motif.intrinsic.wrapper.IntrinsicReward`; its intrinsic part."""
        intrinsic: float = info["intrinsic_part"]
        self.game_return += info["extrinsic_reward"]
        self.intrinsic_return += intrinsic
        self.extrinsic_return += reward - intrinsic
        self.length += 1
        return intrinsic


@dataclass
class Episode(Returns):
    """An episode so far, with what was seen in it."""

    info: dict[str, Any] = field(default_factory=dict)  # the last step's
    seen: Counter[bytes] = field(default_factory=Counter)  # messages
    income: dict[bytes, float] = field(default_factory=dict)  # intrinsic reward paid for each


@dataclass(frozen=True)
class Step:
    """One observation of an episode and what came with it."""

    observation: Observation  # the game's own arrays: the next step overwrites them
    screen: tuple[Any, Any] | None  # None: there is none, or it is no longer the game's
    message: bytes  # its 256 bytes
    count: int  # times seen in this episode, this one included
    reward: float  # the task's own
    intrinsic: float  # paid with this step for the message before it, weighted
    ended: bool


def seeded(seed: int | None) -> tuple[np.random.Generator, Seeds | None]:
    """A player's randomness, and the numbers that decide a game; None: another one each time."""
    rng = np.random.default_rng(seed)
    if seed is None:
        return rng, None
    first, second = (int(number) for number in rng.integers(2**62, size=2))
    return rng, (first, second)


def play_episode(
    game: GameAdapter,
    env: IntrinsicReward,
    player: Player,
    rng: np.random.Generator,
    seeds: Seeds | None = None,
) -> Iterator[tuple[Step, Episode]]:
    """Play one episode, from its first observation to the one that ends it.

    Args:
        rng: the player's randomness.
        env, seeds: as in :func:`open_episode`.
    """
    player.reset(rng)
    steps = open_episode(game, env, seeds)
    step, episode = next(steps)
    yield step, episode
    while not step.ended:
        step, episode = steps.send(player.act(step.observation))
        yield step, episode


def open_episode(
    game: GameAdapter, env: IntrinsicReward, seeds: Seeds | None = None
) -> Generator[tuple[Step, Episode], int, None]:
    """One episode that is sent its actions, so that many can be played in step.

    Args:
        env: the task of ``game``, with the intrinsic reward, and the game's own observations.
        seeds: play the same game again (NetHack: on the same date).
    """
    if seeds is not None:
        game.seed(env, *seeds)
    observation, info = env.reset()
    episode = Episode(info=info)
    step = _look(game, episode, observation, 0.0, 0.0, False)
    while not step.ended:
        action = yield step, episode
        before = step.message
        observation, total, terminated, truncated, episode.info = env.step(action)
        intrinsic = episode.add(total, episode.info)
        if intrinsic:
            episode.income[before] = episode.income.get(before, 0.0) + intrinsic
        reward = episode.info["extrinsic_reward"]
        step = _look(game, episode, observation, reward, intrinsic, terminated or truncated)
    yield step, episode


def play_to_end(
    game: GameAdapter, env: IntrinsicReward, player: Player, seed: int | None = None
) -> Episode:
    """What the episode of :func:`play_episode` comes to in the end."""
    steps = play_episode(game, env, player, *seeded(seed))
    _, episode = next(steps)
    for _ in steps:
        pass
    return episode


def _look(
    game: GameAdapter,
    episode: Episode,
    observation: Observation,
    reward: float,
    intrinsic: float,
    ended: bool,
) -> Step:
    message = game.message(observation)
    episode.seen[message] += 1
    screen = None if ended else game.screen(observation)
    return Step(observation, screen, message, episode.seen[message], reward, intrinsic, ended)


def succeeded(game: GameAdapter, task: str, episode: Episode) -> bool | None:
    """Whether the task was solved; None for one that has no such thing."""
    if not game.tasks[task].has_success:
        return None
    return bool(episode.info.get("solved", episode.game_return > 0))

"""Stage 4: watch a trained agent, with what each message is worth to it."""

from __future__ import annotations

import functools
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import motif.nethack  # noqa: F401  registers the tasks
from motif.cli import option
from motif.device import DeviceName, resolve_device
from motif.errors import CheckpointError, ConfigError
from motif.messages import decode, printable
from motif.nethack.intrinsic_reward import MessageRewards
from motif.nethack.observations import OBSERVATION_KEYS
from motif.nethack.rendering import HIDE_CURSOR, HOME_AND_CLEAR, SHOW_CURSOR, screen_text
from motif.reward.checkpoint import score_messages
from sample_factory_ext.environment import load_message_reward
from sample_factory_ext.player import CheckpointPlayer

MESSAGES_SHOWN = 100
MAX_EPISODES = 100


@dataclass(frozen=True)
class PlaybackConfig:
    """What to play and how to show it."""

    train_dir: str = option("train_dir/rl_saving_dir", "where RL runs are")
    experiment: str = option("standard_motif", "the run to watch")
    render: bool = option(True, "draw the game in the terminal")
    sleep: float = option(0.0, "seconds to wait after each step")
    num_episodes: int = option(MAX_EPISODES, "episodes to play, at most 100")
    reward_dir: str | None = option(None, "another reward model than the run's own")
    checkpoint_num: int | None = option(None, "iteration of the reward checkpoint; 0: the last one")
    device: DeviceName = option("auto", "auto: the GPU if there is one")
    seed: int | None = option(None, "play the same games again (on the same date)")
    env: str | None = option(None, "accepted; the run knows it")
    algo: str | None = option(None, "accepted; the run knows it")

    def __post_init__(self) -> None:
        if not 1 <= self.num_episodes <= MAX_EPISODES:
            raise ConfigError(f"--num_episodes {self.num_episodes}: 1 to {MAX_EPISODES}")
        if self.sleep < 0:
            raise ConfigError(f"--sleep {self.sleep}: seconds, 0 or more")


@dataclass
class Episode:
    """One game as it went."""

    game_return: float
    length: int
    info: dict[str, Any]
    messages: Counter[bytes]


def play(config: PlaybackConfig) -> list[Episode]:
    """Play and show ``config.num_episodes`` episodes.

    Raises:
        CheckpointError: the run, its policy or the reward model isn't there or is damaged.
    """
    run_folder = Path(config.train_dir) / config.experiment
    player = CheckpointPlayer(run_folder, resolve_device(config.device))
    rewards = _rewards(config, player.config)
    env = gymnasium.make(player.config.root_env, observation_keys=OBSERVATION_KEYS)
    print(f"{run_folder}: policy of {player.env_steps:,} steps, {player.config.root_env}")
    episodes = []
    try:
        for number in range(config.num_episodes):
            seed = None if config.seed is None else config.seed + number
            episodes.append(_play_episode(env, player, rewards, config, seed))
            _show_episode(number, episodes[-1], rewards)
            if config.render and sys.stdin.isatty() and number + 1 < config.num_episodes:
                input("Enter: next episode, Ctrl-C: stop ")
    finally:
        env.close()
    return episodes


def _rewards(config: PlaybackConfig, run_config: Any) -> MessageRewards | None:
    """Normalised reward of a message; None if the run was trained without and none is given."""
    folder = config.reward_dir or (run_config.reward_dir if run_config.llm_reward else None)
    if not folder:
        return None
    iteration = config.checkpoint_num
    if iteration is None:
        iteration = 0 if config.reward_dir else run_config.checkpoint_num
    try:
        loaded = load_message_reward(folder, iteration)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; or name another with --reward_dir") from None
    known = loaded.train_messages, loaded.train_rewards
    return MessageRewards(functools.partial(score_messages, loaded), known)


def _play_episode(
    env: gymnasium.Env,
    player: CheckpointPlayer,
    rewards: MessageRewards | None,
    config: PlaybackConfig,
    seed: int | None,
) -> Episode:
    rng = np.random.default_rng(seed)
    if seed is not None:
        core, display = (int(number) for number in rng.integers(2**62, size=2))
        env.unwrapped.seed(core, display, False)
    player.reset(rng)
    observation, info = env.reset()
    episode = Episode(0.0, 0, info, Counter([observation["message"].tobytes()]))
    reward, ended = 0.0, False
    if config.render:
        print(HIDE_CURSOR, end="")
    try:
        while not ended:
            if config.render:
                _show_step(observation, reward, episode, rewards)
            time.sleep(config.sleep)
            observation, reward, terminated, truncated, episode.info = env.step(
                player.act(observation)
            )
            ended = terminated or truncated
            episode.game_return += reward
            episode.length += 1
            episode.messages[observation["message"].tobytes()] += 1
    finally:
        if config.render:
            print(SHOW_CURSOR, end="")
    return episode


def _show_step(
    observation: dict[str, Any], reward: float, episode: Episode, rewards: MessageRewards | None
) -> None:
    message = observation["message"].tobytes()
    worth = "none" if rewards is None else f"{rewards[message]:+.3f}"
    screen = screen_text(observation["tty_chars"], observation["tty_colors"])
    print(
        f"{HOME_AND_CLEAR}{screen}\n"
        f"step {episode.length}  reward {reward:+.2f}  return {episode.game_return:.2f}  "
        f"intrinsic (normalised) {worth}  seen {episode.messages[message]}x",
        flush=True,
    )


def _show_episode(number: int, episode: Episode, rewards: MessageRewards | None) -> None:
    print(f"\nthe {MESSAGES_SHOWN} most frequent messages, times seen and normalised reward:")
    for message, count in episode.messages.most_common(MESSAGES_SHOWN):
        worth = "" if rewards is None else f"{rewards[message]:+8.3f}"
        print(f"{count:6d} {worth}  {printable(decode(message)) or '(no message)'}")
    info = episode.info
    print(
        f"episode {number + 1}: {episode.length} steps, return {episode.game_return:.2f}, score "
        f"{info['score']}, dungeon level {info['dlvl']}, gold {info['gold']}, experience level "
        f"{info['xlvl']}"
    )

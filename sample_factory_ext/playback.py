"""Stage 4: watch a trained agent, with what each message is worth to it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from motif.cli import option
from motif.device import DeviceName, resolve_device
from motif.errors import CheckpointError, ConfigError
from motif.games.game import check_task, find_game, open_game
from motif.pairs_dataset import ORIGIN
from motif.play.rollout import Episode, Step, play_episode, seeded
from motif.play.watchers import GifMaker, Recorder, Statistics, Terminal, Watcher
from sample_factory_ext.environment import add_intrinsic_reward, message_rewards
from sample_factory_ext.evaluation_flags import EvaluationFlags
from sample_factory_ext.income import rewarded_settings
from sample_factory_ext.player import CheckpointPlayer

MAX_EPISODES = 100


@dataclass(frozen=True)
class PlaybackConfig(EvaluationFlags):
    """What to play and how to show it."""

    train_dir: str = option("train_dir/rl_saving_dir", "where RL runs are")
    experiment: str = option("standard_motif", "the run to watch")
    render: bool = option(True, "draw the game in the terminal")
    sleep: float = option(0.0, "seconds to wait after each step")
    num_episodes: int = option(MAX_EPISODES, "episodes to play, at most 100")
    task: str | None = option(None, "try the agent on another task than the run's")
    root_env: str | None = option(None, "the same as --task, by its name in training")
    record: Path | None = option(None, "a folder for a replay (HTML) and a ttyrec of each episode")
    gif: Path | None = option(None, "write the first episode's first --gif_steps steps as a GIF")
    gif_steps: int = option(300, "steps of the GIF")
    stats: Path | None = option(None, "write what each episode came to, and means, as JSON")
    reward_dir: str | None = option(None, "another reward model than the run's own")
    checkpoint_num: int | None = option(None, "iteration of the reward checkpoint; 0: the last one")
    device: DeviceName = option("auto", "auto: the GPU if there is one")
    seed: int | None = option(None, "play the same games again (on the same date)")
    game: str | None = option(None, "the run knows it; another is refused")
    caption: str | None = option(None, "the run knows it; another is refused")
    env: str | None = option(None, "accepted; the run knows it")
    algo: str | None = option(None, "accepted; the run knows it")

    def __post_init__(self) -> None:
        self.refuse_others()
        if not 1 <= self.num_episodes <= MAX_EPISODES:
            raise ConfigError(f"--num_episodes {self.num_episodes}: 1 to {MAX_EPISODES}")
        if self.sleep < 0:
            raise ConfigError(f"--sleep {self.sleep}: seconds, 0 or more")
        if self.gif_steps < 1:
            raise ConfigError(f"--gif_steps {self.gif_steps}: 1 or more")

    @property
    def run_folder(self) -> Path:
        """Where the run is."""
        return Path(self.train_dir) / self.experiment


def play(config: PlaybackConfig) -> list[Episode]:
    """Play and show ``config.num_episodes`` episodes.

    Raises:
        CheckpointError: the run, its policy or the reward model isn't there or is damaged.
    """
    config = replace(config, **config.as_ours(config.run_folder))
    cfg = _settings(config)
    for name in ORIGIN:
        if (given := getattr(config, name)) not in (None, cfg[name]):
            raise ConfigError(f"--{name} {given}: {config.run_folder} was trained with {cfg[name]}")
    game = find_game(cfg.game)
    check_task(game, cfg.root_env, "--task")
    if config.gif and not game.has_screen:
        raise ConfigError(f"--gif: {game.name} has no screen; leave it out")
    player = CheckpointPlayer(config.run_folder, resolve_device(config.device))
    try:
        rewards, _ = message_rewards(cfg)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; or name another with --reward_dir") from None
    played = open_game(game, cfg.root_env, cfg.caption, record=config.record)
    env = add_intrinsic_reward(played, cfg)
    about = f"{config.run_folder}: policy of {player.env_steps:,} steps, {cfg.root_env}"
    about += f", {cfg.encoder_custom}"
    print(about)
    statistics = Statistics(game, cfg.root_env, player.env_steps)
    watchers: list[Watcher] = [Terminal(game, rewards, config.render, config.sleep), statistics]
    if config.record:
        watchers.append(Recorder(config.record, about, rewards))
    if config.gif:
        watchers.append(GifMaker(config.gif, config.gif_steps, rewards))
    try:
        episodes = []
        for number in range(config.num_episodes):
            seed = None if config.seed is None else config.seed + number
            steps = play_episode(game, env, player, *seeded(seed))
            episodes.append(_watch(steps, number, watchers))
            if config.stats:
                statistics.write(config.stats)
            if sum(episode.length for episode in episodes) >= (config.max_num_frames or math.inf):
                break
            if config.render and sys.stdin.isatty() and number + 1 < config.num_episodes:
                input("Enter: next episode, Ctrl-C: stop ")
    finally:
        env.close()  # type: ignore[no-untyped-call]
    if config.num_episodes > 1:
        print(statistics.summary())
    return episodes


def _settings(config: PlaybackConfig) -> Any:
    """The run's settings, with the task and the reward model that are asked for."""
    cfg = rewarded_settings(config.run_folder, config.reward_dir)
    if config.checkpoint_num is not None:
        cfg.checkpoint_num = config.checkpoint_num
    cfg.root_env = config.task or config.root_env or cfg.root_env
    return cfg


def _watch(
    steps: Iterator[tuple[Step, Episode]], number: int, watchers: Sequence[Watcher]
) -> Episode:
    try:
        for step, episode in steps:
            for watcher in watchers:
                watcher.step(step, episode)
    finally:
        for watcher in watchers:
            watcher.pause()
    for watcher in watchers:
        watcher.end(number, episode)
    return episode

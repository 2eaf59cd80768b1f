"""What looks at a game while it is played: the terminal, recordings, statistics."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import write_json
from motif.games.game import GameAdapter, Screen, count_kinds
from motif.intervals import wilson
from motif.messages import decode, printable
from motif.play.gif import with_caption, write_gif
from motif.play.replay import Replay
from motif.play.rollout import Episode, Step, succeeded
from motif.play.terminal import (
    BAD,
    GOOD,
    HIDE_CURSOR,
    HOME_AND_CLEAR,
    RESET,
    SHOW_CURSOR,
    screen_text,
)

MESSAGES_SHOWN = 100
GIF_MILLISECONDS = 100  # a step
COLUMNS = 80

Rewards = Mapping[bytes, float] | None  # normalised reward of a message, if there is a model


class Watcher:
    """Is shown each step of each game; does nothing of itself."""

    def step(self, step: Step, episode: Episode) -> None:
        """A step was played; ``step.observation`` must be copied to be kept."""

    def pause(self) -> None:
        """The game is over or was interrupted."""

    def end(self, number: int, episode: Episode) -> None:
        """Game ``number`` (from 0) is over."""


class Terminal(Watcher):
    """Draws the game, and after it lists its most frequent messages."""

    def __init__(self, game: GameAdapter, rewards: Rewards, render: bool, sleep: float) -> None:
        self._game, self._rewards, self._render, self._sleep = game, rewards, render, sleep
        self._hidden = False

    def step(self, step: Step, episode: Episode) -> None:
        if step.ended:
            return
        if self._render:
            self._hide()
            screen = "" if step.screen is None else screen_text(*step.screen) + "\n"
            print(f"{HOME_AND_CLEAR}{screen}{self._below(step, episode)}", flush=True)
        time.sleep(self._sleep)

    def _hide(self) -> None:
        if not self._hidden:
            print(HIDE_CURSOR, end="")
            self._hidden = True

    def _below(self, step: Step, episode: Episode) -> str:
        worth, color = "none", ""
        if self._rewards is not None:
            reward = self._rewards[step.message]
            worth, color = f"{reward:+.3f}", GOOD if reward > 0 else BAD
        message = printable(decode(step.message).replace("\n", " ")) or "(no message)"
        return (
            f"step {episode.length}  reward {step.reward:+.2f}  return {episode.game_return:.2f}  "
            f"intrinsic (normalised) {color}{worth}{RESET}  seen {step.count}x\n"
            f"so far: extrinsic {episode.extrinsic_return:.3f}  "
            f"intrinsic {episode.intrinsic_return:.3f}  (this step {step.intrinsic:+.4f})\n"
            f"{color}{message[:COLUMNS]}{RESET}"
        )

    def pause(self) -> None:
        if self._hidden:
            print(SHOW_CURSOR, end="")
            self._hidden = False

    def end(self, number: int, episode: Episode) -> None:
        print(f"\nthe {MESSAGES_SHOWN} most frequent messages, times seen and normalised reward:")
        for message, count in episode.seen.most_common(MESSAGES_SHOWN):
            worth = "" if self._rewards is None else f"{self._rewards[message]:+8.3f}"
            print(f"{count:6d} {worth}  {printable(decode(message)) or '(no message)'}")
        shown = "".join(f", {name} {episode.info[name]}" for name in self._game.info_columns)
        print(
            f"episode {number + 1}: {episode.length} steps, return {episode.game_return:.2f}{shown}"
        )


class Recorder(Watcher):
    """Writes ``episode_001.html`` and so on; NLE writes its ttyrecs into the same folder."""

    def __init__(self, folder: Path, about: str, rewards: Rewards) -> None:
        self._folder, self._about, self._rewards = folder, about, rewards
        self._replay = Replay("", "")

    def step(self, step: Step, episode: Episode) -> None:
        if episode.length == 0:
            self._replay = Replay("A game of Motif's agent", self._about)
        self._replay.add(
            step.screen,
            step.message,
            worth=None if self._rewards is None else self._rewards[step.message],
            count=step.count,
            reward=step.reward,
            intrinsic=step.intrinsic,
        )

    def end(self, number: int, episode: Episode) -> None:
        path = self._folder / f"episode_{number + 1:03d}.html"
        self._replay.write(path)
        print(f"replay: {path}")


class GifMaker(Watcher):
    """Films the first steps of the first episode."""

    def __init__(self, path: Path, steps: int, rewards: Rewards) -> None:
        self._path, self._steps, self._rewards = path, steps, rewards
        self._screens: list[Screen] = []

    def step(self, step: Step, episode: Episode) -> None:
        if step.screen is None or len(self._screens) >= self._steps:
            return
        worth = "" if self._rewards is None else f"  message {self._rewards[step.message]:+.2f}"
        caption = (
            f" step {episode.length}  return {episode.game_return:.2f}  intrinsic "
            f"{episode.intrinsic_return:.3f}{worth}  seen {step.count}x"
        )
        self._screens.append(with_caption(*step.screen, caption))

    def end(self, number: int, episode: Episode) -> None:
        if number == 0:
            write_gif(self._path, self._screens, GIF_MILLISECONDS)
            self._screens = self._screens[:0]
            self._steps = 0
            print(f"film: {self._path}")


def episode_row(game: GameAdapter, task: str, episode: Episode) -> dict[str, Any]:
    """What a game came to: returns, the game's own columns, messages of each kind."""
    columns = (*game.info_columns, *game.more_columns)
    return {
        "return": round(episode.game_return, 6),
        "extrinsic_return": round(episode.extrinsic_return, 6),
        "intrinsic_return": round(episode.intrinsic_return, 6),
        "length": episode.length,
        **{name: episode.info[name] for name in columns},
        "success": succeeded(game, task, episode),
        "end": episode.info.get("end"),
        **count_kinds(game.kinds, {decode(m): n for m, n in episode.seen.items()}),
    }


class Statistics(Watcher):
    """What the games came to: a row each, and means over them."""

    def __init__(self, game: GameAdapter, task: str, env_steps: int) -> None:
        self._game, self._task, self._env_steps = game, task, env_steps
        self._rows: list[dict[str, Any]] = []

    def end(self, number: int, episode: Episode) -> None:
        self._rows.append(episode_row(self._game, self._task, episode))

    def content(self) -> dict[str, Any]:
        """All of it, as JSON: means with their standard error, successes with their interval."""
        names = [name for name in self._rows[0] if name not in ("success", "end")]
        columns = {name: np.array([row[name] for row in self._rows]) for name in names}
        games = len(self._rows)
        return {
            "task": self._task,
            "policy_env_steps": self._env_steps,
            "games": games,
            "means": {
                name: {
                    "mean": float(values.mean()),
                    "standard_error": float(values.std(ddof=1) / math.sqrt(games))
                    if games > 1
                    else None,
                    "median": float(np.median(values)),
                }
                for name, values in columns.items()
            },
            "success": self._success(),
            "episodes": self._rows,
        }

    def _success(self) -> dict[str, Any] | None:
        outcomes = [row["success"] for row in self._rows]
        if None in outcomes:
            return None
        low, high = wilson(sum(outcomes), len(outcomes))
        rate = sum(outcomes) / len(outcomes)
        return {"wins": sum(outcomes), "rate": rate, "low": low, "high": high}  # 95 %, Wilson

    def write(self, path: Path) -> None:
        """Write :meth:`content`, whole or not at all."""
        write_json(path, self.content())

    def summary(self) -> str:
        """One line."""
        content = self.content()
        shown = ("return", "intrinsic_return", "length", *self._game.info_columns)
        means = ", ".join(f"{name} {content['means'][name]['mean']:.4g}" for name in shown)
        line = f"mean of {content['games']} episodes: {means}"
        if wins := content["success"]:
            line += f"; success {wins['rate']:.1%} ({wins['low']:.1%} to {wins['high']:.1%})"
        return line

"""How far the scripted player gets, against random play.

    python -m benchmarks.players --games 200

Both play the same seeded games of ``NetHackScore-v1``, up to 5,000 steps each. NetHack reads the
date, so pin it (``faketime '2026-01-12 12:00:00'``) to get the same games again. The two cores
share the games; speeds are of CPU time, of the player alone and of the player and its game.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from statistics import mean, median

import numpy as np

from benchmarks.report import report
from motif.cli import option, parse_config
from motif.collect.games import Game, make_environment, play_game
from motif.games.nethack.explorer import ExplorerPlayer
from motif.play.players import Player, RandomPlayer
from motif.types import AnyArray

SEED = 777
MAX_STEPS = 5000
PROCESSES = 2
EVENTS = {  # in a game's messages, end to end
    "kill": re.compile(rb"You (?:kill|destroy) "),
    "gold": re.compile(rb"\$ - \d+ gold pieces?"),
    "descent": re.compile(rb"You descend the stairs|You fall through"),
}


@dataclass(frozen=True)
class PlayersConfig:
    games: int = option(200, "games that each player plays")


@dataclass(frozen=True)
class Result:
    """What is kept of a game."""

    score: int
    deepest_level: int
    steps: int
    seconds: float  # CPU time of the game
    player_seconds: float  # of it, in the player
    empty: int  # messages
    distinct: int
    kill: bool
    gold: bool
    descent: bool


class TimedPlayer:
    """A player, and the CPU time it takes."""

    def __init__(self, player: Player) -> None:
        self._player, self.name, self.seconds = player, player.name, 0.0

    def reset(self, rng: np.random.Generator) -> None:
        self.seconds = 0.0
        self._player.reset(rng)

    def act(self, observation: Mapping[str, AnyArray]) -> int:
        start = time.process_time()
        action = self._player.act(observation)
        self.seconds += time.process_time() - start
        return action


def play(name: str, numbers: range) -> list[Result]:
    """Play these games."""
    environment = make_environment("NetHackScore-v1", MAX_STEPS)
    keys = [int(key) for key in environment.unwrapped.actions]
    player = TimedPlayer(ExplorerPlayer(keys) if name == "explorer" else RandomPlayer(len(keys)))
    play_game(make_environment("NetHackScore-v1", 20), player, SEED, 0)  # compiles
    return [result(environment, player, number) for number in numbers]


def result(environment: object, player: TimedPlayer, number: int) -> Result:
    start = time.process_time()
    game = play_game(environment, player, SEED, number)
    seconds = time.process_time() - start
    return Result(
        score=game.score,
        deepest_level=game.deepest_level,
        steps=len(game),
        seconds=seconds,
        player_seconds=player.seconds,
        **_messages(game),
    )


def _messages(game: Game) -> dict[str, int | bool]:
    messages = [message.tobytes().rstrip(b"\0") for message in game.arrays["message"]]
    text = b"\n".join(messages)
    events = {name: bool(pattern.search(text)) for name, pattern in EVENTS.items()}
    return {"empty": messages.count(b""), "distinct": len(set(messages)), **events}


def summarise(results: list[Result]) -> dict[str, float]:
    columns = {name: [asdict(r)[name] for r in results] for name in asdict(results[0])}
    steps = sum(columns["steps"])
    figures = {
        "mean_score": mean(columns["score"]),
        "median_score": median(columns["score"]),
        "mean_deepest_level": mean(columns["deepest_level"]),
        "most_deepest_level": max(columns["deepest_level"]),
        "mean_steps": steps / len(results),
        **{f"games_with_{name}": mean(columns[name]) for name in EVENTS},
        "empty_messages": sum(columns["empty"]) / steps,
        "mean_distinct_messages": mean(columns["distinct"]),
        "player_steps_per_s": steps / sum(columns["player_seconds"]),
        "steps_per_s": steps / sum(columns["seconds"]),
    }
    return {name: round(float(value), 3) for name, value in figures.items()}


def chunks(games: int) -> Iterator[range]:
    for first in range(0, games, 10):
        yield range(first, min(first + 10, games))


def main() -> None:
    games = parse_config(PlayersConfig, None, __doc__).games
    figures: dict[str, dict[str, float]] = {}
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for name in ("random", "explorer"):
            parts = [pool.submit(play, name, numbers) for numbers in chunks(games)]
            figures[name] = summarise([r for part in parts for r in part.result()])
    for key in figures["random"]:
        print(f"{key:24s} " + " ".join(f"{name} {figures[name][key]:10.3f} " for name in figures))
    compared = ("mean_score", "mean_deepest_level", "mean_distinct_messages")
    ratios = {key: round(figures["explorer"][key] / figures["random"][key], 2) for key in compared}
    report("players", {"games": games, "seed": SEED, **figures}, ratios)


if __name__ == "__main__":
    main()

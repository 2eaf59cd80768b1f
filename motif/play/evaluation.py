"""Many games of some players, the same games for all of them, played side by side."""

from __future__ import annotations

import multiprocessing
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from motif.atomic_write import write_json
from motif.cli import option
from motif.cores import cores
from motif.errors import ConfigError, MotifError
from motif.file_lock import only_run
from motif.games.game import GAME_HELP, GameAdapter, Player, check_task, find_game, open_game
from motif.intrinsic.wrapper import IntrinsicReward
from motif.pairs_dataset import ORIGIN
from motif.play.games_file import GAMES, SETTINGS, append_rows, rows_so_far
from motif.play.players import RandomPlayer, check_player
from motif.play.rollout import Episode, open_episode, seeded
from motif.play.watchers import episode_row
from motif.results.evaluation import compare_players, draw_players, summary_table

TOGETHER = 16  # games that one process plays in step

LoadPlayer = Callable[[str], Any]  # RUN[@STEPS] → a player that has another() and act_together()


@dataclass(frozen=True)
class EvaluationConfig:
    """Who plays what, how often."""

    players: Sequence[str] = option(
        (), "run folders, RUN@STEPS, or a scripted player", positional=True, nargs="+", type=str
    )
    output: Path = option(Path("evaluation"), "folder for games.csv, evaluation.json and .png")
    games: int = option(200, "games of each player")
    task: str | None = option(None, "what is played (default: what the first run was trained on)")
    character: str | None = option(None, "as val-hum-law-fem; @: any (NetHack: a monk)")
    seed: int = option(0, "of the list of games")
    workers: int = option(0, "processes; 0: one for each core")
    game: str = option(ORIGIN["game"], GAME_HELP)

    def __post_init__(self) -> None:
        if self.games < 2:
            raise ConfigError(f"--games {self.games}: 2 or more, or there is no interval")
        if self.workers < 0:
            raise ConfigError(f"--workers {self.workers}: 0 or more")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed}: 0 or more")
        twice = [name for name in self.players if self.players.count(name) > 1]
        if twice:
            raise ConfigError(f"{twice[0]} is named twice")


@dataclass(frozen=True)
class Group:
    """Games that are played in step."""

    player: str
    seeds: tuple[int, ...]
    game: str
    task: str
    character: str | None


def evaluate(config: EvaluationConfig, task: str, load_player: LoadPlayer) -> dict[str, Any]:
    """Play what is not played yet, and sum it up.

    Args:
        task: a task of the game.
        load_player: made known to other processes by its name.

    Returns:
        What ``evaluation.json`` holds.

    Raises:
        MotifError: a player, task or character isn't there; the folder holds other games.
    """
    game = find_game(config.game)
    check_task(game, task, "--task")
    settings = {
        "game": config.game,
        "task": task,
        "character": config.character or game.character,
        "seed": config.seed,
    }
    for name in config.players:  # what is wrong with one is said before the first game
        player, *_ = _players(game, name, load_player, 1)
        check_player(player, game=config.game)
    make_game(game, task, config.character).close()  # type: ignore[no-untyped-call]
    busy = ConfigError(f"another run is evaluating into {config.output}; choose another --output")
    with only_run(config.output, busy):
        rows = rows_so_far(config.output, settings)
        path = config.output / SETTINGS
        if not path.exists():
            write_json(path, {"settings": settings})
        start = time.monotonic()
        played = _play(config, task, load_player, rows)
        content: dict[str, Any] = {
            "settings": settings,
            "machine": f"{platform.machine()}, {cores()} cores",
            "games_played_now": played,
            "seconds": round(time.monotonic() - start, 1),
        }
        chosen = [
            row for row in rows if row["player"] in config.players and row["number"] < config.games
        ]
        content |= compare_players(chosen, config.players)
        write_json(path, content)
        draw_players(config.output / "evaluation.png", content)
    print(summary_table(content))
    print(f"written to {config.output}: {GAMES}, {SETTINGS}, evaluation.png")
    return content


def make_game(
    game: GameAdapter, task: str, character: str | None, caption: str = "message"
) -> IntrinsicReward:
    """The task without an intrinsic reward."""
    who: dict[str, Any] = {} if character is None else {"character": character}
    return IntrinsicReward(open_game(game, task, caption, **who), None, llm_reward=0.0)


def _play(
    config: EvaluationConfig, task: str, load_player: LoadPlayer, rows: list[dict[str, Any]]
) -> int:
    """Add the rows that are missing to ``rows`` and to the file; how many they were."""
    done = {(row["player"], row["number"]) for row in rows}
    groups = []
    for name in config.players:
        missing = [number for number in range(config.games) if (name, number) not in done]
        groups += [
            Group(name, tuple(missing[i : i + TOGETHER]), config.game, task, config.character)
            for i in range(0, len(missing), TOGETHER)
        ]
    if not groups:
        return 0
    workers = min(config.workers or cores(), len(groups))
    total = sum(len(group.seeds) for group in groups)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        with tqdm(total=total, unit="game", desc="playing") as bar:
            waiting = [pool.submit(play_group, group, load_player, config.seed) for group in groups]
            for future in as_completed(waiting):
                finished = future.result()
                rows += finished
                append_rows(config.output / GAMES, finished)
                bar.update(len(finished))
    except BrokenProcessPool:
        raise MotifError(
            "a process that played was killed (by the system, if memory ran out); the games that "
            "ended are kept; the same command with fewer --workers goes on"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    return total


def play_group(group: Group, load_player: LoadPlayer, seed: int) -> list[dict[str, Any]]:
    """Play a group of games in step; a row for each, in order."""
    game = find_game(group.game)
    players = _players(game, group.player, load_player, len(group.seeds))
    caption = getattr(players[0], "caption", "message")
    envs = _games(group.game, group.task, group.character, caption)[: len(group.seeds)]
    if is_scripted(game, group.player):
        players = [scripted(game, group.player, env) for env in envs]
    ends = play_in_step(game, envs, players, [seed + number for number in group.seeds])
    return [
        {"player": group.player, "number": number, **_row(game, group.task, episode)}
        for number, episode in zip(group.seeds, ends)
    ]


def _row(game: GameAdapter, task: str, episode: Episode) -> dict[str, Any]:
    """Without the parts of a reward that is not there."""
    row = episode_row(game, task, episode)
    del row["extrinsic_return"], row["intrinsic_return"]
    return row


def play_in_step(
    game: GameAdapter,
    envs: Sequence[IntrinsicReward],
    players: Sequence[Player],
    seeds: Sequence[int],
) -> list[Episode]:
    """Play one game of each seed, all of them at once, each with its own player."""
    open_ones, latest = [], []
    for env, player, seed in zip(envs, players, seeds):
        rng, numbers = seeded(seed)
        player.reset(rng)
        steps = open_episode(game, env, numbers)
        open_ones.append(steps)
        latest.append(next(steps))
    while going := [i for i, (step, _) in enumerate(latest) if not step.ended]:
        observations = [latest[i][0].observation for i in going]
        actions = _act([players[i] for i in going], observations)
        for i, action in zip(going, actions):
            latest[i] = open_ones[i].send(action)
    return [episode for _, episode in latest]


def _act(players: Sequence[Any], observations: Sequence[Any]) -> list[int]:
    together = getattr(players[0], "act_together", None)
    if together is not None:
        actions: list[int] = together(players, observations)
        return actions
    return [player.act(observation) for player, observation in zip(players, observations)]


def scripted(game: GameAdapter, name: str, env: IntrinsicReward) -> Player:
    """``random``, or one of the game's own."""
    if name == "random":
        return RandomPlayer(env.action_space.n)  # type: ignore[attr-defined]
    return game.players[name](env)


def is_scripted(game: GameAdapter, name: str) -> bool:
    """Whether ``name`` is no run."""
    return name == "random" or name in game.players


def _players(game: GameAdapter, name: str, load_player: LoadPlayer, count: int) -> list[Any]:
    """So many players of a run; the name of a scripted one, which needs its game first."""
    if is_scripted(game, name):
        return [name]
    first = _loaded(load_player, name)
    return [first, *(first.another() for _ in range(count - 1))]


@cache
def _loaded(load_player: LoadPlayer, name: str) -> Any:
    return load_player(name)


@cache
def _games(game: str, task: str, character: str | None, caption: str) -> list[IntrinsicReward]:
    found = find_game(game)
    return [make_game(found, task, character, caption) for _ in range(TOGETHER)]

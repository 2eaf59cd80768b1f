"""Stage 0's command: who plays, where games come from, and what there is at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from motif.cli import command
from motif.collect.collection import collect
from motif.collect.settings import MOST_STEPS, CollectionConfig
from motif.collect.sources import GameSource, PlayedGames, open_task
from motif.collect.ttyrec import TtyrecGames
from motif.errors import CheckpointError, ConfigError
from motif.games.game import Player, find_game
from motif.pairs_dataset import ORIGIN
from motif.play.players import RandomPlayer, check_player, run_and_steps

LoadPolicy = Callable[[Path, int | None], Player]  # run folder, environment steps (None: the last)


def open_source(config: CollectionConfig, load_policy: LoadPolicy) -> GameSource:
    """Where the games that ``config`` asks for come from.

    Args:
        load_policy: what makes a player of a run; nothing in this room knows how.

    Raises:
        MotifError: a part that it needs is not there.
    """
    if config.ttyrec:
        folders = [Path(folder) for folder in config.ttyrec]
        return TtyrecGames(folders, config.max_episode_steps or MOST_STEPS, config.seed)
    game = find_game(config.game)
    env = open_task(game, config.task, config.max_episode_steps, config.caption)
    checkpoints = [load_policy(*run_and_steps(run)) for run in config.checkpoint]
    for player in checkpoints:
        check_player(player, game=config.game, caption=config.caption)
    names = [player.name for player in checkpoints]
    for name in names:
        if names.count(name) > 1:
            raise CheckpointError(
                f"two players are called {name}; name each checkpoint once, and rename one of two "
                "run folders of the same name"
            )
    players: list[Player] = []  # in the order of --policy
    for policy in config.policy:
        if policy == "random":
            players.append(RandomPlayer(env.action_space.n))  # type: ignore[attr-defined]
        elif policy == "checkpoint":
            players.extend(checkpoints)
        elif policy not in game.players:
            raise ConfigError(f"--policy {policy}: {game.name} has no such player")
        else:
            players.append(game.players[policy](env))
    return PlayedGames(game, env, players, config.seed)


def collect_and_report(config: CollectionConfig, load_policy: LoadPolicy) -> None:
    """Collect, then say what there is and what comes next."""
    start, was_there = time.monotonic(), Path(config.directory, "data").exists()
    made = collect(config, lambda: open_source(config, load_policy))
    seconds = max(time.monotonic() - start, 1e-3)  # none at all on a clock that stands still
    what = (
        f"{config.num_pairs} pairs from {made['games']} games ({made['observations']} "
        f"observations, mean score {made['mean_score']:.1f}) in {config.directory}"
    )
    if was_there:
        print(f"nothing to do: {what}")
    else:
        print(f"collected {what}: {seconds:.1f} s, {config.num_pairs / seconds:.0f} pairs/s")
    game = ["--game", config.game] if config.game != ORIGIN["game"] else []
    rules = ["--annotator-type", "rules", *game]
    annotate = command("annotate", "--directory", config.directory, *rules)
    print("next:", annotate)

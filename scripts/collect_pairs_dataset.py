"""Stage 0: play NetHack, keep captioned observations, sample pairs.

    python -m scripts.collect_pairs_dataset --directory motif_dataset --num_pairs 20000

Another command line, for games that a scripted player, an early policy of an RL run (any run of
scripts.main) and its last policy play in turns:

    python -m scripts.collect_pairs_dataset --directory motif_dataset --num_pairs 100000 \\
        --policy explorer checkpoint --checkpoint train_dir/rl_saving_dir/standard_motif@10002432 \\
        train_dir/rl_saving_dir/standard_motif

Games that others played, or our agents recorded (docs/ttyrec.md):

    python -m scripts.collect_pairs_dataset --directory nld_dataset --num_pairs 100000 \\
        --ttyrec nld-aa/nle_data

Interrupted, even with kill -9, the same command goes on. Next: scripts.annotate_pairs_dataset.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from motif.cli import command, parse_config, run
from motif.collect.collection import CollectionConfig, collect
from motif.collect.sources import GameSource, PlayedGames, open_task
from motif.collect.ttyrec import TtyrecGames
from motif.errors import CheckpointError, ConfigError
from motif.games.game import GameAdapter, Player, find_game
from motif.play.players import RandomPlayer


def open_source(config: CollectionConfig) -> GameSource:
    """Where the games that ``config`` asks for come from.

    Raises:
        MotifError: a part that it needs is not there.
    """
    if config.ttyrec:
        folders = [Path(folder) for folder in config.ttyrec]
        return TtyrecGames(folders, config.max_episode_steps, config.seed)
    game = find_game(config.game)
    env = open_task(game, config.task, config.max_episode_steps)
    return PlayedGames(game, env, make_players(config, game, env), config.seed)


def make_players(config: CollectionConfig, game: GameAdapter, env: Any) -> list[Player]:
    """The players in the order of ``--policy``, where ``checkpoint`` stands for all checkpoints.

    Raises:
        CheckpointError: a run folder or checkpoint is not there, or named twice.
    """
    checkpoints = [load_player(run) for run in config.checkpoint]
    names = [player.name for player in checkpoints]
    for name in names:
        if names.count(name) > 1:
            raise CheckpointError(
                f"two players are called {name}; name each checkpoint once, and rename one of two "
                "run folders of the same name"
            )
    players: list[Player] = []
    for policy in config.policy:
        if policy == "random":
            players.append(RandomPlayer(env.action_space.n))
        elif policy == "checkpoint":
            players.extend(checkpoints)
        else:
            if policy not in game.players:
                raise ConfigError(f"--policy {policy}: {game.name} has no such player")
            players.append(game.players[policy](env))
    return players


def load_player(checkpoint: str) -> Player:
    """The policy that ``RUN[@STEPS]`` names.

    Raises:
        CheckpointError: it is not there.
    """
    run, _, steps = checkpoint.rpartition("@")
    if not (run and steps.isdecimal()) or Path(checkpoint).is_dir():
        run, steps = checkpoint, ""
    if not Path(run).is_dir():
        raise CheckpointError(
            f"no RL run in {run}; train one with {command('agent')}, "
            "or collect with --policy random or explorer"
        )
    from sample_factory_ext.player import CheckpointPlayer

    return CheckpointPlayer(Path(run), device="cpu", env_steps=int(steps) if steps else None)


def collect_and_report(config: CollectionConfig) -> None:
    """Collect, then say what there is and what comes next."""
    start = time.monotonic()
    played = False

    def source() -> GameSource:
        nonlocal played
        played = True
        return open_source(config)

    made = collect(config, source)
    seconds = max(time.monotonic() - start, 1e-3)  # none at all on a clock that stands still
    what = (
        f"{config.num_pairs} pairs from {made['games']} games ({made['observations']} "
        f"observations, mean score {made['mean_score']:.1f}) in {config.directory}"
    )
    if played:
        print(f"collected {what}: {seconds:.1f} s, {config.num_pairs / seconds:.0f} pairs/s")
    else:
        print(f"nothing to do: {what}")
    print(
        "next:",
        command("annotate", "--directory", config.directory, "--annotator-type", "rules"),
    )


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(CollectionConfig, argv, __doc__)
    return run(lambda: collect_and_report(config))


if __name__ == "__main__":
    sys.exit(main())

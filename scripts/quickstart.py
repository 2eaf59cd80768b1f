"""The whole pipeline, small: shipped pairs, labels, reward model, agent, a game watched, a report.

    python -m scripts.quickstart

The reward is trained on the shipped labels of a real language model; those of hand-written rules
are made to compare them with.

It runs the commands that it prints, one stage after the other, on real NetHack with two CPU cores.
The settings are those of the table below, not the paper's, whose recipe takes days; the agent is
the compact one (docs/performance.md). Started again it goes on where it was; what is finished is
kept.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import write_json
from motif.cli import command, option, parse_config, run
from motif.collect.sources import PlayedGames, open_task
from motif.games.game import find_game
from motif.pairs_dataset import PairsDataset
from motif.pipeline import Records, Stage, run_stages
from motif.play.players import RandomPlayer
from motif.preference.label_set import load_preferences
from motif.preference.labels import count_labels
from motif.results.episodes import compare_fifths, read_episodes
from motif.results.runs import read_run

ANNOTATOR = "Qwen2.5-Coder-1.5B-Instruct_msg_defaultgoal_rating"  # shipped, in preference/
CONTROL = "rules_msg_defaultgoal"
RANDOM_GAMES = 20  # to compare with; some seconds

# The paper's --extrinsic_reward is 0.1: so small an agent would see the rules' reward alone.
STAGES = {  # the command of each, and what it makes
    "unpack": (
        "unpack_dataset --directory {root} --zipped motif_dataset_zipped",
        "motif_dataset/data",
    ),
    "annotate": (
        "annotate_pairs_dataset --directory {root}/motif_dataset --annotator_type rules "
        "--goal_key defaultgoal",
        f"motif_dataset/preference/{CONTROL}.npy",
    ),
    "compare": (
        f"compare_annotators {ANNOTATOR} {CONTROL} --directory {{root}}/motif_dataset",
        "motif_dataset/preference/comparison.png",
    ),
    "reward": (
        f"train_reward --dataset_dir {{root}}/motif_dataset --annotator {ANNOTATOR} "
        "--train_dir {root}/reward_saving_dir --experiment standard_reward --batch_size 256 "
        "--reward_lr 0.001 --num_epochs 8 --seed 777",
        "reward_saving_dir/standard_reward/val_metrics.csv",
    ),
    "agent": (
        "main --reward_dir {root}/reward_saving_dir/standard_reward --train_dir "
        "{root}/rl_saving_dir --experiment standard_motif --algo APPO --env nle_fixed_eat_action "
        "--encoder_custom nle_compact_encoder --hidden_size 256 --learning_rate 3e-4 "
        "--root_env NetHackScore-v1 --num_workers 2 --num_envs_per_worker 16 --worker_num_splits 1 "
        "--batch_size 1024 --train_for_env_steps 400000 --reward_scale 0.1 --obs_scale 255.0 "
        "--extrinsic_reward 1.0 --llm_reward 0.1 --beta_count_exponent 3 "
        "--eps_threshold_quantile 0.5 --save_every_steps 50000 --keep_checkpoints 2 --seed 777",
        "rl_saving_dir/standard_motif/episodes.csv",
    ),
    "watch": (
        "visualize --train_dir {root}/rl_saving_dir --experiment standard_motif "
        "--num_episodes 1 --render False --seed 777",
        "rl_saving_dir/standard_motif/episodes.csv",
    ),
}
SMALL = {  # what --small adds: a trial of every stage, too short to learn anything
    "reward": "--num_epochs 1",
    "agent": "--num_workers 1 --num_envs_per_worker 4 --batch_size 256 --train_for_env_steps 8192 "
    "--decorrelate_experience_max_seconds 0",
}


@dataclass(frozen=True)
class QuickstartConfig:
    """Where to, and whether for real."""

    directory: Path = option(Path("runs/quickstart"), "folder of everything that is made")
    small: bool = option(False, "a trial of some minutes that learns nothing")


def make_stages(root: Path, small: bool) -> list[Stage]:
    """The stages with all their flags, in order."""
    added = SMALL if small else {}
    return [
        Stage.row(name, f"{line} {added.get(name, '')}", root / makes, {"root": root})
        for name, (line, makes) in STAGES.items()
    ]


def folders_in(root: Path) -> tuple[Path, Path, Path]:
    """The folders of the dataset, the reward model's run and the agent's."""
    _, labels, _, reward, agent, _ = (root / makes for _, makes in STAGES.values())
    return labels.parent.parent, reward.parent, agent.parent


def quickstart(config: QuickstartConfig) -> int:
    """Run what isn't finished; then write the summary and the report.

    Raises:
        ConfigError: the folder was begun with other settings.
    """
    root, records = config.directory, Records(config.directory / "stages.json")
    if status := run_stages(make_stages(root, config.small), records):
        return status
    summary = summarise(root, records.stages)
    write_json(root / "summary.json", summary)
    write_report(root, summary)
    print_result(root, summary)
    return 0


def summarise(root: Path, stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What came out, as JSON."""
    from sample_factory_ext.run_folder import policy_checkpoints

    dataset, reward, agent = folders_in(root)
    pairs, rl = PairsDataset(dataset), read_run(agent)
    with (reward / "val_metrics.csv").open() as file:
        validation = list(csv.DictReader(file))[-1]
    steps, took = max(policy_checkpoints(agent), default=0), stages["agent"]
    # the first fifth of games to end; beside it the fairer one, the first fifth to begin
    ended = compare_fifths(rl.episodes["return"], np.random.default_rng(0))
    begun = rl.change("return")
    return {
        "pairs": len(pairs),
        "labels": count_labels(load_preferences(pairs, ANNOTATOR)),
        "validation_accuracy": _number(validation["validation_accs"]),
        "validation_accuracy_unseen_message": _number(validation["unseen_validation_accs"]),
        "frames": steps,
        "steps_per_second": round(steps / took["seconds"]) if took["attempts"] == 1 else None,
        "games": len(rl.episodes["return"]),
        "return": ended and asdict(ended),
        "return_from_first_begun": begun and asdict(begun),
        "return_of_random_play": random_return(rl.task, seed=777),
        "seconds": {name: stage["seconds"] for name, stage in stages.items()},
    }


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def random_return(task: str, seed: int) -> float:
    """The mean return of a player that knows nothing, over ``RANDOM_GAMES`` games."""
    game = find_game("nethack")
    env: Any = open_task(game, task, max_steps=5000)
    games = PlayedGames(game, env, [RandomPlayer(env.action_space.n)], seed).games(0)
    returns = [played.arrays["rewards"].sum() for played in itertools.islice(games, RANDOM_GAMES)]
    return float(np.mean(returns))


def write_report(root: Path, summary: Mapping[str, Any]) -> None:
    """Draw ``report.png``."""
    from motif.results.report import draw_report, rank_messages
    from motif.reward.checkpoint import load_reward_model

    _, reward, agent = folders_in(root)
    loaded = load_reward_model(reward)
    best, worst = rank_messages(loaded.train_messages, loaded.train_rewards)
    draw_report(
        root / "report.png",
        title=f"Motif quickstart: {summary['pairs']:,} pairs, {summary['frames']:,} steps",
        episodes=read_episodes(agent / "episodes.csv"),
        best=best,
        worst=worst,
        reference=("random play", summary["return_of_random_play"]),
    )


def print_result(root: Path, summary: Mapping[str, Any]) -> None:
    """Say what there is now, and what to do with it."""
    dataset, reward, agent = folders_in(root)
    labels = ", ".join(f"{kind} {count:,}" for kind, count in summary["labels"].items())
    known, unseen = (
        "-" if summary[name] is None else f"{summary[name]:.1%}"
        for name in ("validation_accuracy", "validation_accuracy_unseen_message")
    )
    print(f"\nmade in {root}, in {sum(summary['seconds'].values()):.0f} s:")
    print(f"  {dataset}: {summary['pairs']:,} pairs; labels: {labels}")
    print(f"  {reward}: agrees with {known} and {unseen} (unseen messages) of held-out labels")
    print(f"  {agent}: {summary['frames']:,} steps, {summary['games']} games")
    for name, which in (("return", "ended"), ("return_from_first_begun", "began")):
        if fifths := summary[name]:
            print(
                f"    return of the fifth of games that {which} first {fifths['first']:.1f}, that "
                f"ended last {fifths['last']:.1f}; difference {fifths['low']:.1f} to "
                f"{fifths['high']:.1f} (95 %)"
            )
    print(f"    return of random play {summary['return_of_random_play']:.1f}")
    print(f"  {root / 'summary.json'}, {root / 'report.png'}")
    print(f"next: {command('watch', train_dir=agent.parent, experiment=agent.name)}")


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(QuickstartConfig, argv, __doc__)
    return run(lambda: quickstart(config))


if __name__ == "__main__":
    sys.exit(main())

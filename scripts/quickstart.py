"""The whole pipeline, small: shipped pairs, labels, reward model, agent, a game watched, a report.

    python -m scripts.quickstart

It runs the commands that it prints, one stage after the other, on real NetHack with two CPU cores.
The settings are those of the tables below, not the paper's, whose recipe takes days. Started again
it goes on where it was; what is finished is kept.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import dataclasses
import itertools
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import write_json
from motif.cli import Terminated, command, option, parse_config, run
from motif.collect.sources import PlayedGames, open_task
from motif.errors import ConfigError
from motif.games.game import find_game
from motif.pairs_dataset import PairsDataset
from motif.play.players import RandomPlayer
from motif.preference.label_set import load_preferences
from motif.preference.labels import count_labels
from motif.results.episodes import Comparison, compare_fifths, order_of_start, read_episodes
from motif.results.report import draw_report, rank_messages

ANNOTATOR = "rules_msg_defaultgoal"
RANDOM_GAMES = 20  # to compare with; some seconds

Settings = Mapping[str, Mapping[str, Any]]

SETTINGS: Settings = {
    "unpack": {"zipped": "motif_dataset_zipped"},
    "annotate": {"annotator_type": "rules", "goal_key": "defaultgoal"},
    "reward": {"batch_size": 256, "reward_lr": 1e-3, "num_epochs": 8, "seed": 777},
    "agent": {
        "algo": "APPO",
        "env": "nle_fixed_eat_action",
        "root_env": "NetHackScore-v1",
        "num_workers": 2,
        "num_envs_per_worker": 16,
        "batch_size": 1024,
        "train_for_env_steps": 400_000,
        "reward_scale": 0.1,
        "obs_scale": 255.0,
        "extrinsic_reward": 1.0,  # 0.1 in the paper; so small an agent would see the rules alone
        "llm_reward": 0.1,
        "beta_count_exponent": 3,
        "eps_threshold_quantile": 0.5,
        "save_every_steps": 50_000,
        "keep_checkpoints": 2,
        "seed": 777,
    },
    "watch": {"num_episodes": 1, "render": False, "seed": 777},
}
SMALL: Settings = {  # what --small changes: a trial of every stage, too short to learn anything
    "reward": {"num_epochs": 1},
    "agent": {
        "num_workers": 1,
        "num_envs_per_worker": 4,
        "batch_size": 256,
        "train_for_env_steps": 8_192,
        "decorrelate_experience_max_seconds": 0,
    },
}


@dataclass(frozen=True)
class QuickstartConfig:
    """Where to, and whether for real."""

    directory: Path = option(Path("runs/quickstart"), "folder of everything that is made")
    small: bool = option(False, "a trial of some minutes that learns nothing")


@dataclass(frozen=True)
class Stage:
    """One command, and a file or folder that is there once it has ended well."""

    name: str
    module: str
    flags: Mapping[str, Any]
    makes: Path

    @property
    def command(self) -> list[str]:
        """The command's words, without the interpreter's path."""
        flags = [word for name, value in self.flags.items() for word in (f"--{name}", str(value))]
        return ["python", "-m", self.module, *flags]


@dataclass(frozen=True)
class Folders:
    """What lies where in the quickstart's folder."""

    root: Path

    @property
    def dataset(self) -> Path:
        """Where the pairs are unpacked to."""
        return self.root / "motif_dataset"

    @property
    def reward_run(self) -> Path:
        """The run of the reward model."""
        return self.root / "reward_saving_dir" / "standard_reward"

    @property
    def agent_run(self) -> Path:
        """The run of the agent."""
        return self.root / "rl_saving_dir" / "standard_motif"


def make_stages(folders: Folders, small: bool) -> list[Stage]:
    """The stages with all their flags, in order."""
    changes = SMALL if small else {}
    flags = {name: {**SETTINGS[name], **changes.get(name, {})} for name in SETTINGS}
    reward, agent = folders.reward_run, folders.agent_run
    where: dict[str, dict[str, Any]] = {
        "unpack": {"directory": folders.root},
        "annotate": {"directory": folders.dataset},
        "reward": {
            "dataset_dir": folders.dataset,
            "annotator": ANNOTATOR,
            "train_dir": reward.parent,
            "experiment": reward.name,
        },
        "agent": {
            "reward_dir": reward,
            "train_dir": agent.parent,
            "experiment": agent.name,
        },
        "watch": {"train_dir": agent.parent, "experiment": agent.name},
    }
    modules = {
        "unpack": ("scripts.unpack_dataset", folders.dataset / "data"),
        "annotate": (
            "scripts.annotate_pairs_dataset",
            folders.dataset / "preference" / f"{ANNOTATOR}.npy",
        ),
        "reward": ("scripts.train_reward", reward / "val_metrics.csv"),
        "agent": ("scripts.main", agent / "episodes.csv"),
        "watch": ("scripts.visualize", agent / "episodes.csv"),
    }
    return [
        Stage(name, module, {**where[name], **flags[name]}, makes)
        for name, (module, makes) in modules.items()
    ]


class Records:
    """``stages.json``: the command of each stage that was begun, and how long it took if done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: dict[str, dict[str, Any]] = {}
        if path.is_file():
            with contextlib.suppress(ValueError):  # damaged: every stage runs, and finds its work
                self.stages = json.loads(path.read_text())

    def is_done(self, stage: Stage) -> bool:
        """Whether ``stage`` ended well before.

        Raises:
            ConfigError: it was begun with another command.
        """
        record = self.stages.get(stage.name)
        if record is None:
            return False
        command = shlex.join(stage.command)
        if record["command"] != command:
            raise ConfigError(
                f"{self.path.parent} was begun with other settings:\n  {record['command']}\n"
                f"and not\n  {command}\nchoose another --directory, or delete this one"
            )
        return "seconds" in record and stage.makes.exists()

    def begin(self, stage: Stage) -> None:
        """Count an attempt."""
        attempts = self.stages.get(stage.name, {}).get("attempts", 0) + 1
        self.stages[stage.name] = {"command": shlex.join(stage.command), "attempts": attempts}
        write_json(self.path, self.stages)

    def end(self, stage: Stage, seconds: float) -> None:
        """Note success; after an interruption ``seconds`` are those of the last attempt."""
        self.stages[stage.name]["seconds"] = round(seconds, 1)
        write_json(self.path, self.stages)


def run_stage(stage: Stage) -> int:
    """Run a stage in a process of its own, which ends if this one does; its exit status."""
    command = [sys.executable, *stage.command[1:]]
    process = subprocess.Popen(command, preexec_fn=_end_with_parent, start_new_session=True)
    try:
        return process.wait()
    except (KeyboardInterrupt, Terminated) as interruption:
        # In a session of its own it saw no Ctrl-C: it gets one signal, and time to save its work.
        number = signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT
        process.send_signal(number)
        process.wait()
        raise


def _end_with_parent() -> None:
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def quickstart(config: QuickstartConfig) -> int:
    """Run what isn't finished; then write the summary and the report.

    Raises:
        ConfigError: the folder was begun with other settings.
    """
    folders = Folders(config.directory)
    records = Records(config.directory / "stages.json")
    stages = make_stages(folders, config.small)
    for number, stage in enumerate(stages, start=1):
        heading = f"[{number}/{len(stages)}] {stage.name}"
        if records.is_done(stage):
            seconds = records.stages[stage.name]["seconds"]
            print(f"{heading}: done before, in {seconds:.0f} s", flush=True)
            continue
        print(f"{heading}\n$ {shlex.join(stage.command)}", flush=True)
        records.begin(stage)
        start = time.monotonic()
        status = run_stage(stage)
        if status != 0:
            print(f"{stage.name} ended with status {status}; the same command goes on from here")
            return status if status > 0 else 128 - status
        records.end(stage, time.monotonic() - start)
    summary = summarise(folders, stages, records)
    write_json(config.directory / "summary.json", summary)
    write_report(folders, summary)
    print_result(folders, summary)
    return 0


def summarise(folders: Folders, stages: Sequence[Stage], records: Records) -> dict[str, Any]:
    """What came out, as JSON."""
    from sample_factory_ext.run_folder import policy_checkpoints

    pairs = PairsDataset(folders.dataset)
    with (folders.reward_run / "val_metrics.csv").open() as file:
        validation = list(csv.DictReader(file))[-1]
    episodes = read_episodes(folders.agent_run / "episodes.csv")
    flags = {stage.name: stage.flags for stage in stages}["agent"]
    frames = max(policy_checkpoints(folders.agent_run), default=0)
    agent = records.stages["agent"]
    in_one_go = agent["attempts"] == 1
    began = order_of_start(episodes, flags["num_workers"] * flags["num_envs_per_worker"])
    rng = np.random.default_rng(0)
    return {
        "pairs": len(pairs),
        "labels": count_labels(load_preferences(pairs, ANNOTATOR)),
        "validation_accuracy": _number(validation["validation_accs"]),
        "validation_accuracy_unseen_message": _number(validation["unseen_validation_accs"]),
        "frames": frames,
        "steps_per_second": round(frames / agent["seconds"]) if in_one_go else None,
        "games": len(episodes["return"]),
        # the first fifth of games to end; beside it the fairer one, the first fifth to begin
        "return": _as_json(compare_fifths(episodes["return"], rng)),
        "return_from_first_begun": _as_json(compare_fifths(episodes["return"], rng, began)),
        "return_of_random_play": random_return(flags["root_env"], flags["seed"]),
        "seconds": {name: record["seconds"] for name, record in records.stages.items()},
    }


def random_return(task: str, seed: int) -> float:
    """The mean return of a player that knows nothing, over ``RANDOM_GAMES`` games."""
    game = find_game("nethack")
    env: Any = open_task(game, task, max_steps=5000)
    games = PlayedGames(game, env, [RandomPlayer(env.action_space.n)], seed).games(0)
    returns = [played.arrays["rewards"].sum() for played in itertools.islice(games, RANDOM_GAMES)]
    return float(np.mean(returns))


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _as_json(comparison: Comparison | None) -> dict[str, float] | None:
    return None if comparison is None else dataclasses.asdict(comparison)


def write_report(folders: Folders, summary: Mapping[str, Any]) -> None:
    """Draw ``report.png``."""
    from motif.reward.checkpoint import load_reward_model

    reward = load_reward_model(folders.reward_run)
    best, worst = rank_messages(reward.train_messages, reward.train_rewards)
    draw_report(
        folders.root / "report.png",
        title=f"Motif quickstart: {summary['pairs']:,} pairs, {summary['frames']:,} steps",
        episodes=read_episodes(folders.agent_run / "episodes.csv"),
        best=best,
        worst=worst,
        reference=("random play", summary["return_of_random_play"]),
    )


def print_result(folders: Folders, summary: Mapping[str, Any]) -> None:
    """Say what there is now, and what to do with it."""
    print(f"\nmade in {folders.root}, in {sum(summary['seconds'].values()):.0f} s:")
    labels = ", ".join(f"{kind} {count:,}" for kind, count in summary["labels"].items())
    print(f"  {folders.dataset}: {summary['pairs']:,} pairs; labels: {labels}")
    accuracy = " and ".join(
        "-" if value is None else f"{value:.1%}"
        for value in (
            summary["validation_accuracy"],
            summary["validation_accuracy_unseen_message"],
        )
    )
    print(f"  {folders.reward_run}: agrees with {accuracy} (unseen messages) of held-out labels")
    print(f"  {folders.agent_run}: {summary['frames']:,} steps, {summary['games']} games")
    for name, which in (("return", "ended"), ("return_from_first_begun", "began")):
        if fifths := summary[name]:
            print(
                f"    return of the fifth of games that {which} first {fifths['first']:.1f}, that "
                f"ended last {fifths['last']:.1f}; difference {fifths['low']:.1f} to "
                f"{fifths['high']:.1f} (95 %)"
            )
    print(f"    return of random play {summary['return_of_random_play']:.1f}")
    print(f"  {folders.root / 'summary.json'}, {folders.root / 'report.png'}")
    agent = folders.agent_run
    print(f"next: {command('watch', train_dir=agent.parent, experiment=agent.name)}")


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(QuickstartConfig, argv, __doc__)
    return run(lambda: quickstart(config))


if __name__ == "__main__":
    sys.exit(main())

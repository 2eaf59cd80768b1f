"""The experiment: does the intrinsic reward help, and does its goal steer the agent?

    python -m scripts.reproduce                 # or: make reproduce
    python -m scripts.reproduce --directory runs/trial --small True

The shipped dataset is unpacked and a reward model trained for each goal, on labels that written
rules made and no language model; then come the runs of the tables below. ``--dataset`` and
``--annotator`` take others. Each command is printed before it is run, what is done is kept, and the
same command goes on where it was stopped. In the end it writes ``table.csv`` (what the last fifth
of each run's games came to), ``summary.csv`` (means over seeds), ``steering.csv`` (what the agents
of each goal do in games played after training), ``motif_results.pkl`` and figures.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import atomic_write
from motif.cli import option, parse_config, run
from motif.errors import ConfigError
from motif.results.aggregates import interval_of_mean
from motif.results.curves import method_of, write_csv
from motif.results.page import Cell
from motif.results.runs import Run, read_run
from scripts.quickstart import Stage, run_stage

SEEDS = (1, 2, 3)
TASKS = {"NetHackScore-v1": 600_000, "NetHackStaircase-v1": 300_000}  # environment steps of a run
EXTRINSIC = {"NetHackScore-v1": 0.1, "NetHackStaircase-v1": 10.0}  # the paper's coefficients
METHODS = {  # factor of the task's coefficient, coefficient of the intrinsic reward
    "extrinsic_only": (1.0, 0.0),
    "motif": (1.0, 0.1),
    "intrinsic_only": (0.0, 0.1),
}
GOALS = ("defaultgoal", "gold", "combat", "stairs")  # each steers agents by its reward alone
STEERING_STEPS = 300_000
STEERING_GAMES = 20  # played with each of these agents after training
BEHAVIOUR = ("gold", "kills a monster", "deepest", "length", "intrinsic_return")

REWARD = {"batch_size": 256, "reward_lr": 1e-3, "num_epochs": 8, "seed": 777}
AGENT = {
    "algo": "APPO",
    "env": "nle_fixed_eat_action",
    "num_workers": 2,
    "num_envs_per_worker": 32,
    "batch_size": 1024,
    "reward_scale": 0.1,
    "obs_scale": 255.0,
    "beta_count_exponent": 3,
    "eps_threshold_quantile": 0.5,
    "save_every_steps": 50_000,
    "keep_checkpoints": 20,
}
SMALL_AGENT = {
    "num_workers": 1,
    "num_envs_per_worker": 4,
    "batch_size": 256,
    "decorrelate_experience_max_seconds": 0,
}
SMALL_STEPS, SMALL_PAIRS = 2_048, 400
COLUMNS = ("return", "extrinsic_return", "intrinsic_return", "dlvl", "gold", "xlvl", "length")


@dataclass(frozen=True)
class ReproduceConfig:
    """Where, with which labels, and whether for real."""

    directory: Path = option(Path("runs/experiment"), "folder of everything that is made")
    dataset: Path | None = option(None, "a labelled dataset; default: the shipped one")
    annotator: str = option("rules_msg_{goal}", "name of its label sets, with {goal} in it")
    seeds: int = option(len(SEEDS), "seeds of each method")
    steering_seeds: int = option(3, "seeds of each goal's agents; 0: no steering")
    small: bool = option(False, "a trial of every stage, too short to learn anything")


@dataclass(frozen=True)
class Planned:
    """One training run."""

    name: str
    task: str
    goal: str
    seed: int
    steps: int
    extrinsic_reward: float
    llm_reward: float

    @property
    def steers(self) -> bool:
        """Whether it belongs to the comparison of goals."""
        return self.name.startswith("steering")


def planned_runs(config: ReproduceConfig) -> Iterator[Planned]:
    """Every training run, one seed of all methods after the other."""
    for seed in range(1, config.seeds + 1):
        for task, steps in TASKS.items():
            for method, (factor, llm_reward) in METHODS.items():
                name, extrinsic = f"{task}_{method}_{seed}", factor * EXTRINSIC[task]
                yield Planned(name, task, "defaultgoal", seed, steps, extrinsic, llm_reward)
    for seed in range(1, config.steering_seeds + 1):
        for goal in GOALS:
            name, task = f"steering_{goal}_{seed}", "NetHackScore-v1"
            yield Planned(name, task, goal, seed, STEERING_STEPS, 0.0, 0.1)


def make_stages(config: ReproduceConfig) -> list[Stage]:
    """All commands in order, each with what is there once it is done."""
    dataset = config.dataset or config.directory / "motif_dataset"
    runs = list(planned_runs(config))
    stages = []

    def add(name: str, script: str, flags: Mapping[str, Any]) -> None:
        stages.append(Stage(name, f"scripts.{script}", flags, _marker(config, name)))

    made_here = config.dataset is None and config.small
    if made_here:
        add("collect", "collect_pairs_dataset", {"directory": dataset, "num_pairs": SMALL_PAIRS})
    elif config.dataset is None:
        add("unpack", "unpack_dataset", {"directory": config.directory})
    for goal in dict.fromkeys(one.goal for one in runs):
        if made_here:
            rules = {"directory": dataset, "annotator_type": "rules", "goal_key": goal}
            add(f"annotate_{goal}", "annotate_pairs_dataset", rules)
        flags = {
            "dataset_dir": dataset,
            "annotator": config.annotator.format(goal=goal),
            "train_dir": config.directory / "reward",
            "experiment": goal,
            **REWARD,
            **({"num_epochs": 2} if config.small else {}),
        }
        add(f"reward_{goal}", "train_reward", flags)
    for one in runs:
        add(one.name, "main", _agent_flags(config, one))
    for one in filter(lambda one: one.steers, runs):
        flags = {
            "train_dir": config.directory / "rl",
            "experiment": one.name,
            "num_episodes": 1 if config.small else STEERING_GAMES,
            "render": False,
            "seed": 777,
            "stats": _statistics(config, one),
        }
        add(f"play_{one.name}", "visualize", flags)
    return stages


def _statistics(config: ReproduceConfig, planned: Planned) -> Path:
    return config.directory / "games" / f"{planned.name}.json"


def _marker(config: ReproduceConfig, name: str) -> Path:
    return config.directory / "done" / name


def _agent_flags(config: ReproduceConfig, planned: Planned) -> dict[str, Any]:
    flags: dict[str, Any] = {
        **AGENT,
        **(SMALL_AGENT if config.small else {}),
        "root_env": planned.task,
        "train_for_env_steps": SMALL_STEPS if config.small else planned.steps,
        "extrinsic_reward": planned.extrinsic_reward,
        "llm_reward": planned.llm_reward,
        "seed": planned.seed,
        "train_dir": config.directory / "rl",
        "experiment": planned.name,
    }
    if planned.llm_reward:
        flags["reward_dir"] = config.directory / "reward" / planned.goal
    return flags


def reproduce(config: ReproduceConfig) -> int:
    """Run what is not done, then write the table, the results and the figures."""
    stages = make_stages(config)
    for number, stage in enumerate(stages, start=1):
        heading = f"[{number}/{len(stages)}] {stage.name}"
        if is_done(stage):
            print(f"{heading}: done", flush=True)
            continue
        print(f"{heading}\n$ {shlex.join(stage.command)}", flush=True)
        status = run_stage(stage)
        if status:
            print(f"{stage.name} ended with status {status}; the same command goes on from here")
            return status if status > 0 else 128 - status
        with atomic_write(stage.makes) as temporary:
            temporary.write_text(shlex.join(stage.command) + "\n")
    return write_results_of(config)


def is_done(stage: Stage) -> bool:
    """Whether ``stage`` ended well before; ``stage.makes`` then holds its command.

    Raises:
        ConfigError: it was done with another command.
    """
    if not stage.makes.is_file():
        return False
    done, command = stage.makes.read_text().strip(), shlex.join(stage.command)
    if done != command:
        raise ConfigError(
            f"{stage.makes} says that {stage.name} was done with\n  {done}\nand not with\n  "
            f"{command}\nchoose another --directory, or delete this one"
        )
    return True


def write_results_of(config: ReproduceConfig) -> int:
    """Tables, ``motif_results.pkl``, figures; the exit status."""
    from motif.results.comparison_plots import save_figure, steering_figure
    from scripts import collect_results, plot_results

    planned = list(planned_runs(config))
    folders = {one: config.directory / "rl" / one.name for one in planned}
    rows = [_row(one, read_run(folders[one])) for one in planned]
    _write_table(config.directory / "table.csv", rows)
    compared_rows = [row for row, one in zip(rows, planned) if not one.steers]
    _write_table(config.directory / "summary.csv", _summary(compared_rows))
    if steering := [one for one in planned if one.steers]:
        rows = _steering_rows(config, steering)
        _write_table(config.directory / "steering.csv", rows)
        save_figure(config.directory / "plots" / "steering", steering_figure(rows, BEHAVIOUR[:3]))
    pickled = config.directory / "motif_results.pkl"
    compared = [str(folders[one]) for one in planned if not one.steers]
    tables = ["--output", str(pickled), "--csv_dir", str(config.directory / "curves")]
    status = collect_results.main(["--run", *compared, *tables])
    aggregates = importlib.util.find_spec("rliable") is not None
    if not aggregates:
        print("aggregates are left out: rliable is missing (pip install -e '.[plots]')")
    figures = ["--output_dir", str(config.directory / "plots"), "--aggregates", str(aggregates)]
    return status or plot_results.main(["--results", str(pickled), *figures])


def _write_table(path: Path, rows: Sequence[Mapping[str, Cell]]) -> None:
    write_csv(path, list(rows[0]), (row.values() for row in rows))
    print(f"\nwritten to {path}:")
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


def _summary(rows: Sequence[Mapping[str, Cell]]) -> list[Mapping[str, Cell]]:
    """Each method on each task: means over seeds, the return's with its 95 % interval."""
    summary: list[Mapping[str, Cell]] = []
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        seeds = [row for row in rows if (row["task"], row["method"]) == (task, method)]
        means = {name: np.array([row[name] for row in seeds], float) for name in COLUMNS}
        low, high = interval_of_mean(means["return"])
        interval = {"low": round(float(low), 4), "high": round(float(high), 4)}
        shown = {name: round(float(values.mean()), 4) for name, values in means.items()}
        row = {"task": task, "method": method, "seeds": len(seeds), "return": shown["return"]}
        summary.append({**row, **interval, **shown})
    return summary


def _steering_rows(
    config: ReproduceConfig, steering: Sequence[Planned]
) -> list[Mapping[str, Cell]]:
    """What the agents of each goal and seed did: means of their games, with standard errors."""
    rows: list[Mapping[str, Cell]] = []
    for one in steering:
        played = json.loads(_statistics(config, one).read_text())
        row: dict[str, Cell] = {"reward": one.goal, "seed": one.seed, "games": played["games"]}
        for name in BEHAVIOUR:
            means = played["means"][name]
            row[name] = round(means["mean"], 4)
            row[f"{name} ±"] = round(means["standard_error"] or 0.0, 4)
        rows.append(row)
    return rows


def _row(planned: Planned, run: Run) -> Mapping[str, Cell]:
    """What the last fifth of a run's games came to."""
    games = len(run.episodes["return"])
    last = slice(games - max(games // 5, min(games, 1)), None)
    means = {
        name: round(float(run.episodes[name][last].mean()), 4) if games else float("nan")
        for name in COLUMNS
    }
    return {
        "run": planned.name,
        "task": planned.task,
        "method": method_of(run.config),
        "reward": planned.goal if planned.llm_reward else "none",
        "seed": planned.seed,
        "steps": run.steps,
        "games": games,
        **means,
    }


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(ReproduceConfig, argv, __doc__)
    return run(lambda: reproduce(config))


if __name__ == "__main__":
    sys.exit(main())

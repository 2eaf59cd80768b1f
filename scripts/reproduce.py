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
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from motif.cli import option, parse_config, run
from motif.pipeline import Records, Stage, run_stages
from motif.results.aggregates import interval_of_mean
from motif.results.curves import method_of, write_csv
from motif.results.page import Cell
from motif.results.runs import read_run

TASKS = {"NetHackScore-v1": 600_000, "NetHackStaircase-v1": 300_000}  # environment steps of a run
EXTRINSIC = {"NetHackScore-v1": 0.1, "NetHackStaircase-v1": 10.0}  # the paper's coefficients
METHODS = {  # factor of the task's coefficient, coefficient of the intrinsic reward
    "extrinsic_only": (1.0, 0.0),
    "motif": (1.0, 0.1),
    "intrinsic_only": (0.0, 0.1),
}
GOALS = ("defaultgoal", "gold", "combat", "stairs")  # each steers agents by its reward alone
STEERING_STEPS = 300_000
BEHAVIOUR = ("gold", "kills a monster", "deepest", "length", "intrinsic_return")
COLUMNS = ("return", "extrinsic_return", "intrinsic_return", "dlvl", "gold", "xlvl", "length")

COLLECT = "collect_pairs_dataset --directory {dataset} --num_pairs 400"
UNPACK = "unpack_dataset --directory {root}"
ANNOTATE = "annotate_pairs_dataset --directory {dataset} --annotator_type rules --goal_key {goal}"
REWARD = (
    "train_reward --dataset_dir {dataset} --annotator {labels} --train_dir {root}/reward "
    "--experiment {goal} --batch_size 256 --reward_lr 0.001 --num_epochs 8 --seed 777"
)
AGENT = (
    "main --algo APPO --env nle_fixed_eat_action --num_workers 2 --num_envs_per_worker 32 "
    "--batch_size 1024 --reward_scale 0.1 --obs_scale 255.0 --beta_count_exponent 3 "
    "--eps_threshold_quantile 0.5 --save_every_steps 50000 --keep_checkpoints 20 "
    "--root_env {task} --train_for_env_steps {steps} --extrinsic_reward {extrinsic_reward} "
    "--llm_reward {llm_reward} --seed {seed} --train_dir {root}/rl --experiment {name}"
)
PLAY = (  # with each steered agent
    "visualize --train_dir {root}/rl --experiment {run} --num_episodes 20 --render False "
    "--seed 777 --stats {root}/games/{run}.json"
)
CURVES = "collect_results --output {root}/motif_results.pkl --csv_dir {root}/curves --run"
PLOTS = "plot_results --results {root}/motif_results.pkl --output_dir {root}/plots"
SMALL_REWARD = " --num_epochs 2"
SMALL_AGENT = (
    " --num_workers 1 --num_envs_per_worker 4 --batch_size 256 --train_for_env_steps 2048 "
    "--decorrelate_experience_max_seconds 0"
)
SMALL_PLAY = " --num_episodes 1"

Row = Mapping[str, Cell]


@dataclass(frozen=True)
class ReproduceConfig:
    """Where, with which labels, and whether for real."""

    directory: Path = option(Path("runs/experiment"), "folder of everything that is made")
    dataset: Path | None = option(None, "a labelled dataset; default: the shipped one")
    annotator: str = option("rules_msg_{goal}", "name of its label sets, with {goal} in it")
    seeds: int = option(3, "seeds of each method")
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


def make_stages(config: ReproduceConfig) -> Iterator[Stage]:
    """All commands in order."""
    root, runs, small = config.directory, list(planned_runs(config)), config.small
    dataset = config.dataset or root / "motif_dataset"
    where = {"root": root, "dataset": dataset}
    if config.dataset is None:
        name, line = ("collect", COLLECT) if small else ("unpack", UNPACK)
        yield Stage.row(name, line, dataset / "data", where)
    for goal in dict.fromkeys(one.goal for one in runs):
        words = {**where, "goal": goal, "labels": config.annotator.format(goal=goal)}
        if small and config.dataset is None:
            labels = dataset / "preference" / f"rules_msg_{goal}.npy"
            yield Stage.row(f"annotate_{goal}", ANNOTATE, labels, words)
        made = root / "reward" / goal / "val_metrics.csv"
        yield Stage.row(f"reward_{goal}", REWARD + SMALL_REWARD * small, made, words)
    for one in runs:
        reward = " --reward_dir {root}/reward/{goal}" if one.llm_reward else ""
        made = root / "rl" / one.name / "episodes.csv"
        line = AGENT + reward + SMALL_AGENT * small
        yield Stage.row(one.name, line, made, {**where, **asdict(one)})
    for name in (one.name for one in runs if one.steers):
        made = root / "games" / f"{name}.json"
        yield Stage.row(f"play_{name}", PLAY + SMALL_PLAY * small, made, {**where, "run": name})
    compared = "".join(f" {{root}}/rl/{one.name}" for one in runs if not one.steers)
    yield Stage.row("curves", CURVES + compared, root / "motif_results.pkl", where, True)
    rliable = importlib.util.find_spec("rliable") is not None
    if not rliable:
        print("aggregates are left out: rliable is missing (pip install -e '.[plots]')")
    yield Stage.row("plots", f"{PLOTS} --aggregates {rliable}", root / "plots", where, True)


def reproduce(config: ReproduceConfig) -> int:
    """Run what is not done, with results and figures, then write the tables."""
    records = Records(config.directory / "stages.json")
    if status := run_stages(list(make_stages(config)), records):
        return status
    write_tables(config.directory, list(planned_runs(config)))
    return 0


def write_tables(root: Path, planned: Sequence[Planned]) -> None:
    """``table.csv``, ``summary.csv``, and for steered agents ``steering.csv`` and its figure."""
    from motif.results.comparison import save_figure, steering_figure

    rows = {one: _last_fifth(one, root / "rl" / one.name) for one in planned}
    _write_table(root / "table.csv", list(rows.values()))
    compared = [row for one, row in rows.items() if not one.steers]
    _write_table(root / "summary.csv", list(_means_over_seeds(compared)))
    if steering := [_behaviour(one, root) for one in planned if one.steers]:
        _write_table(root / "steering.csv", steering)
        save_figure(root / "plots" / "steering", steering_figure(steering, BEHAVIOUR[:3]))


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    write_csv(path, list(rows[0]), (row.values() for row in rows))
    print(f"\nwritten to {path}:")
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


def _last_fifth(one: Planned, folder: Path) -> Row:
    """What the last fifth of a run's games came to."""
    done = read_run(folder)
    games = len(done.episodes["return"])
    last = slice(games - max(games // 5, min(games, 1)), None)
    values = {name: done.episodes[name][last] for name in COLUMNS}
    means = {name: round(float(v.mean()), 4) if games else np.nan for name, v in values.items()}
    about = {"run": one.name, "task": one.task, "method": method_of(done.config)}
    goal: Row = {"reward": one.goal if one.llm_reward else "none", "seed": one.seed}
    return {**about, **goal, "steps": done.steps, "games": games, **means}


def _means_over_seeds(rows: Sequence[Row]) -> Iterator[Row]:
    """Each method on each task: means over seeds, the return's with its 95 % interval."""
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        seeds = [row for row in rows if (row["task"], row["method"]) == (task, method)]
        values = {name: np.array([row[name] for row in seeds], float) for name in COLUMNS}
        means = {name: round(float(array.mean()), 4) for name, array in values.items()}
        low, high = (round(float(end), 4) for end in interval_of_mean(values["return"]))
        about = {"task": task, "method": method, "seeds": len(seeds), "return": means["return"]}
        yield {**about, "low": low, "high": high, **means}


def _behaviour(one: Planned, root: Path) -> Row:
    """What an agent did in the games it played: means, with standard errors."""
    played = json.loads((root / "games" / f"{one.name}.json").read_text())
    row: dict[str, Cell] = {"reward": one.goal, "seed": one.seed, "games": played["games"]}
    for name in BEHAVIOUR:
        row[name] = round(played["means"][name]["mean"], 4)
        row[f"{name} ±"] = round(played["means"][name]["standard_error"] or 0.0, 4)
    return row


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(ReproduceConfig, argv, __doc__)
    return run(lambda: reproduce(config))


if __name__ == "__main__":
    sys.exit(main())

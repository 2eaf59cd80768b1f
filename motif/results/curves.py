"""From run folders to learning curves: what ``motif_results.pkl`` and its CSV files hold."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import atomic_write, write_json
from motif.cli import command, option
from motif.errors import ConfigError
from motif.results.episodes import FloatArray
from motif.results.results_file import Results, write_results
from motif.results.runs import Run, read_run

GAMES = 100  # a point of a curve is the mean of the last so many games that ended by then
POINTS = 100  # of a curve, evenly spaced in environment steps
COLUMNS = (
    *("return", "extrinsic_return", "intrinsic_return", "length"),
    *("score", "dlvl", "gold", "xlvl", "scout", "solved", "achievements"),
)
MACHINE = ("train_dir", "git_repo_name", "command_line", "cli_args")  # settings left out of JSON


@dataclass(frozen=True)
class CollectResultsConfig:
    """Which runs, and where to."""

    run: Sequence[str] = option((), "run folders, or method=folder", nargs="+", type=str)
    output: Path = option(Path("motif_results.pkl"), "the file of all curves")
    csv_dir: Path = option(Path("docs/results"), "folder of the CSV and JSON of each curve")

    def __post_init__(self) -> None:
        if not self.run:
            raise ConfigError("--run: name one run folder or more")


@dataclass(frozen=True)
class Curve:
    """One run's learning curve."""

    task: str
    method: str
    seed: int
    columns: Mapping[str, FloatArray]  # "timesteps", "games" and COLUMNS
    config: Mapping[str, Any]

    @property
    def file_name(self) -> str:
        """Where its CSV file goes, without the ending."""
        return f"{self.task}/{self.method}_seed{self.seed}"


def read_curve(text: str) -> Curve:
    """The curve of a run folder; ``method=folder`` gives the method another name.

    Raises:
        CheckpointError: there is no run, or a damaged one.
    """
    name, equals, folder = text.rpartition("=")
    run = read_run(Path(folder))
    method = name if equals else run.method
    seed = int(run.config.get("seed") or 0)
    return Curve(run.task, method, seed, sample_curve(run), run.config)


def sample_curve(run: Run, points: int = POINTS, games: int = GAMES) -> dict[str, FloatArray]:
    """Means of the last ``games`` games at evenly spaced steps, from the first that ended on."""
    ended = run.episodes["env_steps"]
    length = max(int(run.config.get("train_for_env_steps") or 0), run.steps)
    steps = np.linspace(0, length, points + 1)[1:]
    steps = steps[(steps >= ended.min(initial=np.inf)) & (steps < run.steps + length / points)]
    until = np.searchsorted(ended, steps, side="right")
    columns = {"timesteps": np.floor(steps), "games": until.astype(np.float64)}
    for name in COLUMNS:
        values = run.episodes.get(name)
        if values is not None:
            parts = (values[max(end - games, 0) : end] for end in until)
            columns[name] = np.array([part.mean() for part in parts], dtype=np.float64)
    return columns


def as_results(curves: Sequence[Curve]) -> Results:
    """What goes into ``motif_results.pkl``; seeds in ascending order.

    Raises:
        ConfigError: two curves of one task, method and seed.
    """
    results: Results = {}
    taken: set[str] = set()
    for curve in sorted(curves, key=lambda curve: (curve.task, curve.method, curve.seed)):
        if curve.file_name in taken:
            raise ConfigError(
                f"two runs of {curve.method} on {curve.task} have the seed {curve.seed}; name one "
                "of them otherwise: --run name=DIR"
            )
        taken.add(curve.file_name)
        methods = results.setdefault(curve.task, {})
        seeds = methods.setdefault(curve.method, {"timesteps": [], "returns": []})
        seeds["timesteps"].append(curve.columns["timesteps"].tolist())
        seeds["returns"].append(curve.columns["return"].tolist())
    return results


def write_curve(folder: Path, curve: Curve) -> Path:
    """``<task>/<method>_seed<seed>.csv``, and beside it a JSON of settings and commit."""
    path = folder / f"{curve.file_name}.csv"
    write_csv(path, list(curve.columns), zip(*curve.columns.values()))
    config = {
        name: Path(value).name if _is_place(name, value) else value
        for name, value in curve.config.items()
        if name not in MACHINE
    }
    commit = config.pop("git_hash", None)
    about = {"commit": commit, "games_in_a_point": GAMES, "config": config}
    write_json(path.with_suffix(".json"), about)
    return path


def _is_place(name: str, value: Any) -> bool:
    return isinstance(value, str) and (name == "reward_dir" or Path(value).is_absolute())


def write_csv(path: Path, header: Sequence[str], rows: Any) -> None:
    """Numbers with six digits, text as it is; whole or not at all."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            writer.writerow([v if isinstance(v, str) else f"{v:.6g}" for v in row])


def collect_results(config: CollectResultsConfig) -> None:
    """Write the results and the CSV files.

    Raises:
        MotifError: a run is missing or damaged, or two are of one method, task and seed.
    """
    curves = [read_curve(text) for text in config.run]
    results = as_results(curves)
    for curve in curves:
        write_curve(config.csv_dir, curve)
    write_results(config.output, results)
    for task, methods in results.items():
        for method, seeds in methods.items():
            print(f"{task}: {method}, {len(seeds['returns'])} seeds")
    print(f"written to {config.output} and {config.csv_dir}")
    print(f"next: {command('plots', results=config.output)}")

"""What an RL run keeps on disk beside Sample Factory's own files, and what resuming checks."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sample_factory.algo.runners.runner import AlgoObserver, Runner
from sample_factory.utils.attr_dict import AttrDict
from tqdm import tqdm

from motif.atomic_write import atomic_write
from motif.cli import command
from motif.errors import CheckpointError
from motif.online.process import read_figures
from motif.results import runs
from motif.results.episodes import numbers, read_lines
from motif.torch_file import read_torch_file

EPISODE_COLUMNS = (
    "env_steps",  # frames that the learner had taken in when the game's end was reported
    "return",  # the task's own
    "length",
    "extrinsic_return",  # the two parts of what the agent learns from
    "intrinsic_return",
)  # and the game's own, of info
# Means over the last --stats_avg batches of a learner that pays a bonus: what a step was paid,
# before its coefficient; the deviation that it was divided by; its share of all that was paid.
BONUS_FIGURES = ("bonus_mean", "bonus_deviation", "bonus_share")
# Of a run with --online, and of its last minute (docs/online.md).
ONLINE_FIGURES = ("labels", "labels_per_second", "backlog", "labelled_share", "reward_version")


def read_run_config(run_folder: Path) -> Any:
    """:func:`motif.results.runs.read_run_config`, as attributes."""
    return AttrDict(runs.read_run_config(run_folder))


def policy_checkpoints(run_folder: Path, policy: int = 0) -> dict[int, Path]:
    """The policy checkpoints of a run by environment steps, in ascending order."""
    found = {}
    for path in (run_folder / f"checkpoint_p{policy}").glob("checkpoint_*.pth"):
        if match := re.fullmatch(r"checkpoint_\d{9,}_(\d+)", path.stem):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def read_policy_checkpoint(
    run_folder: Path, device: str | torch.device = "cpu", env_steps: int | None = None
) -> dict[str, Any]:
    """The policy checkpoint of a run with so many environment steps; None: the last one.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    checkpoints = policy_checkpoints(run_folder)
    if not checkpoints:
        line = command("agent", train_dir=run_folder.parent, experiment=run_folder.name)
        raise CheckpointError(
            f"no policy checkpoint in {run_folder / 'checkpoint_p0'}; train one: {line} …"
        )
    if env_steps is None:
        env_steps = max(checkpoints)
    if env_steps not in checkpoints:
        raise CheckpointError(
            f"{run_folder} has no policy checkpoint with {env_steps} environment steps; "
            f"there are: {', '.join(map(str, checkpoints))}"
        )
    return _load(checkpoints[env_steps], device)


def _load(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    way_out = "delete it to go on from the checkpoint before"
    content = read_torch_file(path, device, error=CheckpointError, way_out=way_out)
    if {"model", "train_step", "env_steps"} <= set(content):
        return content
    raise CheckpointError(f"{path} is no policy checkpoint; {way_out}")


def check_resumable(run_folder: Path, policies: int = 1) -> int:
    """Refuse to start over a damaged checkpoint, which Sample Factory would do silently.

    Returns:
        The environment steps to go on from; 0 for a new run.

    Raises:
        CheckpointError: the last checkpoint or the run's ``config.json`` is damaged.
    """
    if (run_folder / "config.json").exists():
        read_run_config(run_folder)
    steps = 0
    for policy in range(policies):
        for pattern in ("*_temp", ".*.tmp"):  # of a run that was killed while saving
            for path in (run_folder / f"checkpoint_p{policy}").glob(pattern):
                path.unlink()
        checkpoints = policy_checkpoints(run_folder, policy)
        if checkpoints:
            steps = max(steps, int(_load(list(checkpoints.values())[-1])["env_steps"]))
    return steps


class EpisodeLog:
    """``episodes.csv``: one row for each finished game, in order.

    On resume the rows after the checkpoint are dropped: those games are played again. A run that an
    older version began, with fewer columns, keeps to them.

    Args:
        info_columns: the game's own.
        means: columns of what Sample Factory keeps the last values of, as the game ended.
    """

    def __init__(
        self,
        run_folder: Path,
        resume_from: int,
        info_columns: Sequence[str],
        means: Sequence[str] = (),
    ) -> None:
        self.path = run_folder / "episodes.csv"
        self._columns, self._means = (*EPISODE_COLUMNS, *info_columns, *means), means
        begun, *lines = (read_lines(self.path) if self.path.is_file() else None) or [[]]
        whole = (*begun[: len(EPISODE_COLUMNS)],) == EPISODE_COLUMNS
        if resume_from and whole and set(begun) < set(self._columns):
            self._columns = tuple(begun)
        # What a crash or a bad disk left between the whole rows is dropped.
        rows = [row for row in lines if numbers(row, len(self._columns))]
        kept = [row for row in rows if float(row[0]) <= resume_from]
        with atomic_write(self.path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([self._columns, *kept])
        self._file = self.path.open("a", newline="")
        self._writer = csv.writer(self._file)

    def record(self, runner: Runner, message: dict[str, Any], policy_id: int) -> None:
        """Sample Factory's handler for episode reports."""
        episode = dict(message["episodic"])
        episode |= episode.pop("episode_extra_stats", {})  # batched sampling has them flat
        episode |= {"return": episode["true_objective"], "length": episode["len"]}
        for name in self._means:
            last = runner.policy_avg_stats.get(name, {policy_id: ()})[policy_id]
            episode[name] = np.mean(last or 0.0)
        columns = np.broadcast_arrays(*(np.atleast_1d(episode[name]) for name in self._columns[1:]))
        steps = runner.env_steps.get(policy_id, 0)
        for values in zip(*columns):  # several games when sampling is batched
            self._writer.writerow([steps, *(f"{float(value):.6g}" for value in values)])
        self._file.flush()


class SaveEverySteps(AlgoObserver):
    """``--save_every_steps``: a checkpoint each time the run passes a multiple of it."""

    def __init__(self, every: int, resume_from: int) -> None:
        self._every, self._saved = every, resume_from // every

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        """Save if a multiple was passed."""
        passed = sum(runner.env_steps.values()) // self._every
        if passed > self._saved:
            self._saved = passed
            runner.save_periodic.emit()


class OnlineFigures(AlgoObserver):
    """Hands what the labeller says of itself to the progress line and to TensorBoard.

    Args:
        folder: ``online`` of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        """Read them."""
        for name, value in read_figures(self._folder).items():
            last = [deque([value], maxlen=1) for _ in range(runner.cfg.num_policies)]
            runner.policy_avg_stats[name] = last


class ProgressBar(AlgoObserver):
    """Steps done, steps/s, time left, and the mean of the last finished games."""

    SHOWN = (
        "true_objective",
        "extrinsic_return",
        "intrinsic_return",
        "len",
        "dlvl",
        *BONUS_FIGURES,
        *ONLINE_FIGURES,
    )

    def __init__(self, total: int, resume_from: int) -> None:
        self._bar = tqdm(total=total, initial=resume_from, unit="step", unit_scale=True)

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        """Show how far it is."""
        steps = sum(runner.env_steps.values())
        means = {
            {"true_objective": "return"}.get(name, name): f"{np.mean(values[0]):.4g}"
            for name in self.SHOWN
            if (values := runner.policy_avg_stats.get(name)) and values[0]
        }
        self._bar.set_postfix(means, refresh=False)
        self._bar.update(min(steps, self._bar.total) - self._bar.n)

    def on_stop(self, runner: Runner) -> None:
        """Leave the terminal in order."""
        self._bar.close()

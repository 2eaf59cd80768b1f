"""Fixes that Sample Factory 2.1.1 needs, each small, each tested (tests/sample_factory_ext).

Applied to the installed package by importing this module, in every process.
"""

from __future__ import annotations

import functools
import glob
import logging
import multiprocessing
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sample_factory.algo.learning.learner import Learner
from sample_factory.algo.runners import runner
from sample_factory.algo.sampling import batched_sampling
from sample_factory.algo.utils.tensor_dict import TensorDict
from sample_factory.cfg import arguments
from sample_factory.utils.utils import cfg_file, log
from signal_slot.signal_slot import EventLoopProcess

from motif.atomic_write import write_json
from motif.cli import explain
from motif.torch_file import read_torch_file, write_torch_file
from sample_factory_ext.batched_games import GameVector, finished_games
from sample_factory_ext.workers import leave_stopping_to_the_parent


def around(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put a function in the place of ``owner.name``, which it is given as its first argument."""

    def replace(function: Callable[..., Any]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)  # processes are sent some of them, by name
        def replaced(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        setattr(owner, name, replaced)

    return replace


@around(Learner, "_record_summaries")
def _with_advantages(original: Any, learner: Learner, train_loop_vars: Any) -> Any:
    """With V-trace the batch has no ``advantages``, which the summaries read."""
    batch = train_loop_vars.mb
    if "advantages" not in batch:
        batch["advantages"] = train_loop_vars.adv
    return original(learner, train_loop_vars)


@around(Learner, "save_best")
def _save_best(original: Any, learner: Learner, policy_id: int, metric: str, value: float) -> bool:
    """A numpy float in a checkpoint is refused by torch >= 2.6, and the run starts from scratch."""
    return bool(original(learner, policy_id, metric, float(value)))


def get_checkpoints(checkpoints_dir: str, pattern: str = "checkpoint_*") -> list[str]:
    """Without the ``checkpoint_temp`` of a run killed while saving: not to be loaded as the last.

    That is how Sample Factory itself writes them.
    """
    return sorted(glob.glob(os.path.join(checkpoints_dir, f"{pattern}.pth")))


def load_checkpoint(checkpoints: list[str], device: Any) -> dict[str, Any] | None:
    """Sample Factory starts from scratch if it can't load; with torch < 2.6 it unpickles all."""
    return read_torch_file(Path(checkpoints[-1]), device) if checkpoints else None


def _write_checkpoint(learner: Learner, folder: str, prefix: str, suffix: str = "") -> Path:
    where = Path(learner.checkpoint_dir(learner.cfg, learner.policy_id)) / folder
    path = where / f"{prefix}_{learner.train_step:09d}_{learner.env_steps}{suffix}.pth"
    log.info("Saving %s...", path)
    write_torch_file(path, learner._get_checkpoint_dict())
    return where


@around(Learner, "_save_impl")
def _save(_: Any, learner: Learner, prefix: str, suffix: str, keep: int, verbose: Any = 1) -> bool:
    """An older checkpoint goes only when the new one is on the disk."""
    if not learner.is_initialized:
        return False
    folder = _write_checkpoint(learner, "", prefix, suffix)
    for old in get_checkpoints(str(folder), f"{prefix}_*")[:-keep]:
        os.remove(old)
    return True


@around(Learner, "save_milestone")
def _save_milestone(_: Any, learner: Learner) -> None:
    """Milestones are whole or not there."""
    _write_checkpoint(learner, "milestones", "checkpoint")


@around(runner.Runner, "_save_cfg")
def _save_cfg(_: Any, run: runner.Runner) -> None:
    """A run killed while it writes ``config.json``, which each start does, could not be resumed."""
    write_json(cfg_file(run.cfg), arguments.cfg_dict(run.cfg))


@around(batched_sampling.BatchedVectorEnvRunner, "_process_env_step")
def _process_env_step(original: Any, games: Any, rewards: Any, dones: Any, infos: Any) -> Any:
    """Batched sampling ignores what single games report as they end."""
    return original(games, rewards, dones, finished_games(infos))


@around(TensorDict, "_set_data_func")
def _set_data(original: Any, to: TensorDict, array: Any, index: Any, data: Any) -> None:
    """numpy >= 2.4 refuses an array of one number as an element."""
    if isinstance(array, np.ndarray) and np.ndim(array[index]) == 0:
        data = data.reshape(())
    original(to, array, index, data)


@around(runner, "init_wandb")
def _init_wandb(original: Any, cfg: Any) -> None:
    """Sample Factory asks for a start method, a setting that newer wandb has not, and refuses."""
    if not cfg.with_wandb:
        return
    import wandb

    settings = wandb.Settings

    def known(**wanted: Any) -> Any:
        names = getattr(settings, "model_fields", wanted)
        return settings(**{name: value for name, value in wanted.items() if name in names})

    vars(wandb)["Settings"] = known
    try:
        original(cfg)
    finally:
        vars(wandb)["Settings"] = settings


@around(EventLoopProcess, "_target")
def _end_if_it_fails(original: Any, process: EventLoopProcess) -> None:
    """With an exception in its loop a process would wait for its threads, and the run for it."""
    try:
        original(process)
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            print(f"error: {explain(error)}", file=sys.stderr)
        else:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # the main process notices: workers.py


def _without_git(*_: Any) -> tuple[str, str]:
    return "unknown", "git is not installed"


def _keep_the_terminal_quiet() -> None:
    """Everything goes to ``sf_log.txt`` in the run folder; the terminal has our progress bar."""
    for handler in log.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.ERROR)
    logging.raiseExceptions = False  # a line that the log's encoding lacks is left out in silence
    for module in (r"gymnasium\.core", r"sample_factory\."):  # about each other's and torch's API
        warnings.filterwarnings("ignore", module=module)


Learner.get_checkpoints = staticmethod(get_checkpoints)
Learner.load_checkpoint = staticmethod(load_checkpoint)
batched_sampling.SequentialVectorizeWrapper = GameVector  # theirs is slow
if shutil.which("git") is None:  # they call it all the same
    arguments.get_git_commit_hash = runner.save_git_diff = _without_git
_keep_the_terminal_quiet()
# Not parent_process(): a spawned process imports this while it reads what it was sent, before it
# knows that.
if multiprocessing.current_process().name != "MainProcess":
    leave_stopping_to_the_parent()

"""Fixes that Sample Factory 2.1.1 needs, each small, each tested (tests/sample_factory_ext).

Applied to the installed package at import, in every process.
"""

from __future__ import annotations

import functools
import glob
import logging
import multiprocessing
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from sample_factory.algo.learning.learner import Learner
from sample_factory.algo.runners import runner
from sample_factory.algo.runners.runner import Runner
from sample_factory.algo.sampling import batched_sampling
from sample_factory.algo.sampling.batched_sampling import BatchedVectorEnvRunner
from sample_factory.cfg.arguments import cfg_dict
from sample_factory.utils.utils import cfg_file, log
from signal_slot.signal_slot import EventLoopProcess

from motif.atomic_write import write_json
from motif.cli import explain
from motif.torch_file import read_torch_file, write_torch_file
from sample_factory_ext.batched_games import GameVector, finished_games
from sample_factory_ext.workers import leave_stopping_to_the_parent


def apply() -> None:
    """Apply all fixes, once a process."""
    if getattr(Learner, "motif_fixes", False):
        return
    Learner.motif_fixes = True
    _summarise_vtrace()
    _save_plain_best_performance()
    _save_whole_checkpoints()
    _load_undamaged_checkpoints()
    _write_whole_config()
    _sample_in_batches()
    _keep_the_terminal_quiet()
    _end_a_process_that_fails()
    _start_newer_wandb()
    # Not parent_process(): a spawned process imports this while it reads what it was sent, before
    # it knows that.
    if multiprocessing.current_process().name != "MainProcess":
        leave_stopping_to_the_parent()


def _summarise_vtrace() -> None:
    """With V-trace the batch has no ``advantages``, which the summaries read."""
    original = Learner._record_summaries

    @functools.wraps(original)
    def record_summaries(self: Learner, train_loop_vars: Any) -> Any:
        batch = train_loop_vars.mb
        if "advantages" not in batch:
            batch["advantages"] = train_loop_vars.adv
        return original(self, train_loop_vars)

    Learner._record_summaries = record_summaries


def _save_plain_best_performance() -> None:
    """A numpy float in a checkpoint is refused by torch >= 2.6, and the run starts from scratch."""
    original = Learner.save_best

    @functools.wraps(original)
    def save_best(self: Learner, policy_id: int, metric: str, metric_value: float) -> bool:
        return bool(original(self, policy_id, metric, float(metric_value)))

    Learner.save_best = save_best


def _save_whole_checkpoints() -> None:
    """An older one goes only when the new one is on the disk; milestones are whole or not there.

    A run killed while saving leaves ``checkpoint_temp``, which would be loaded as the last one.
    """

    @staticmethod  # type: ignore[misc]
    def get_checkpoints(checkpoints_dir: str, pattern: str = "checkpoint_*") -> list[str]:
        return sorted(glob.glob(os.path.join(checkpoints_dir, f"{pattern}.pth")))

    def save(self: Learner, prefix: str, suffix: str, keep: int, verbose: bool = True) -> bool:
        if not self.is_initialized:
            return False
        folder = Path(self.checkpoint_dir(self.cfg, self.policy_id))
        path = folder / f"{prefix}_{self.train_step:09d}_{self.env_steps}{suffix}.pth"
        log.info("Saving %s...", path)
        write_torch_file(path, self._get_checkpoint_dict())
        for old in get_checkpoints(str(folder), f"{prefix}_*")[:-keep]:
            os.remove(old)
        return True

    def save_milestone(self: Learner) -> None:
        folder = Path(self.checkpoint_dir(self.cfg, self.policy_id)) / "milestones"
        path = folder / f"checkpoint_{self.train_step:09d}_{self.env_steps}.pth"
        write_torch_file(path, self._get_checkpoint_dict())

    Learner.get_checkpoints = get_checkpoints
    Learner._save_impl = save
    Learner.save_milestone = save_milestone


def _load_undamaged_checkpoints() -> None:
    """Sample Factory starts from scratch if it can't load; with torch < 2.6 it unpickles all."""

    @staticmethod  # type: ignore[misc]
    def load_checkpoint(checkpoints: list[str], device: Any) -> dict[str, Any] | None:
        return read_torch_file(Path(checkpoints[-1]), device) if checkpoints else None

    Learner.load_checkpoint = load_checkpoint


def _write_whole_config() -> None:
    """A run killed while it writes ``config.json``, which each start does, could not be resumed."""

    def save_cfg(self: Runner) -> None:
        write_json(cfg_file(self.cfg), cfg_dict(self.cfg))

    Runner._save_cfg = save_cfg


def _sample_in_batches() -> None:
    """Batched sampling ignores what single games report as they end, and is slow with them."""
    original = BatchedVectorEnvRunner._process_env_step

    @functools.wraps(original)
    def process_env_step(self: Any, rewards: Any, dones: Any, infos: Any) -> Any:
        return original(self, rewards, dones, finished_games(infos))

    BatchedVectorEnvRunner._process_env_step = process_env_step
    batched_sampling.SequentialVectorizeWrapper = GameVector


def _keep_the_terminal_quiet() -> None:
    """Everything goes to ``sf_log.txt`` in the run folder; the terminal has our progress bar."""
    for handler in log.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.ERROR)
    for module in (r"gymnasium\.core", r"sample_factory\."):  # about each other's and torch's API
        warnings.filterwarnings("ignore", module=module)


def _start_newer_wandb() -> None:
    """Sample Factory asks for a start method, a setting that wandb no longer has and refuses."""
    original = runner.init_wandb

    @functools.wraps(original)
    def init_wandb(cfg: Any) -> None:
        if not cfg.with_wandb:
            return original(cfg)
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

    runner.init_wandb = init_wandb


def _end_a_process_that_fails() -> None:
    """With an exception in its loop a process would wait for its threads, and the run for it."""
    original = EventLoopProcess._target

    def _target(self: EventLoopProcess) -> None:  # sent to the process by this name
        try:
            original(self)
        except Exception as error:
            if isinstance(error, OSError) and error.filename:
                print(f"error: {explain(error)}", file=sys.stderr)
            else:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # the main process notices: workers.py

    EventLoopProcess._target = _target

"""Stage 3: train an agent with APPO."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import torch
from sample_factory.algo.runners.runner import Runner
from sample_factory.algo.runners.runner_parallel import ParallelRunner
from sample_factory.algo.runners.runner_serial import SerialRunner
from sample_factory.algo.utils.context import global_model_factory
from sample_factory.algo.utils.misc import ExperimentStatus
from sample_factory.envs.env_utils import register_env
from sample_factory.pbt.population_based_training import PopulationBasedTraining

from motif.cli import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_TERMINATED, command
from motif.device import resolve_device
from motif.errors import CheckpointError, ConfigError
from motif.exported_model import refuse_exported
from motif.file_lock import only_run
from motif.games.game import check_task, find_game
from motif.intrinsic.terms import TRAINED
from motif.online.process import labelling
from motif.online.settings import read_settings
from sample_factory_ext.bonus_learner import BonusRunner
from sample_factory_ext.encoder import make_encoder
from sample_factory_ext.environment import check_reward, make_env
from sample_factory_ext.parameters import ENVIRONMENT, read_flags, settle_sampling
from sample_factory_ext.recurrent_core import make_core
from sample_factory_ext.resuming import check_changes, describe_reward, with_stored_settings
from sample_factory_ext.run_folder import (
    BONUS_FIGURES,
    EpisodeLog,
    OnlineFigures,
    ProgressBar,
    SaveEverySteps,
    check_resumable,
    policy_checkpoints,
)
from sample_factory_ext.settings import COMPACT_ENCODER, POLICY_ENCODER, RLSettings
from sample_factory_ext.workers import parent_of_workers, start_shared_memory


def register_components() -> None:
    """Make our environment and network known to Sample Factory in this process."""
    register_env(ENVIRONMENT, make_env)
    global_model_factory().register_encoder_factory(make_encoder)
    global_model_factory().register_model_core_factory(make_core)


def prepare(cfg: RLSettings) -> None:
    """Settle the device, check the task and the reward model before any process starts.

    Raises:
        MotifError: what is wrong, and the next command.
        OSError: recordings cannot be written where they should go.
    """
    device = "gpu" if resolve_device(cfg.device).type == "cuda" else "cpu"
    cfg.device = cfg.cli_args["device"] = device
    game = find_game(cfg.game)
    check_task(game, cfg.root_env, "--root_env")
    missing = {"cells", "blstats"}.difference(game.policy_space.spaces)
    if missing and cfg.encoder_custom == POLICY_ENCODER:
        raise ConfigError(
            f"--encoder_custom {POLICY_ENCODER} reads {' and '.join(sorted(missing))}, which "
            f"{game.name} has not; give --encoder_custom {COMPACT_ENCODER}"
        )
    if cfg.noveld_visits == "position" and "blstats" not in game.policy_space.spaces:
        raise ConfigError(
            f"--noveld_visits position reads the status, which {game.name} has not; give message"
        )
    settle_sampling(cfg)
    check_reward(cfg)
    cfg.reward_model = describe_reward(cfg)
    if cfg.save_ttyrec_every and cfg.save_dir:
        Path(cfg.save_dir).mkdir(parents=True, exist_ok=True)
    if cfg.serial_mode or cfg.device == "cpu":
        torch.set_num_threads(1)  # otherwise OpenMP's threads fight with the workers


def train(argv: Sequence[str] | None = None) -> int:
    """Train, or go on training; the exit status is 0 when done, 130 or 143 when interrupted."""
    given = read_flags(argv)
    run_folder = Path(given.train_dir) / given.experiment
    refuse_exported(run_folder)
    cfg = with_stored_settings(given, run_folder)
    prepare(cfg)
    busy = CheckpointError(
        f"another run is training in {run_folder}; wait for it, or choose another --experiment"
    )
    # Beside the folder, which --restart_behavior may move away or delete.
    with only_run(run_folder.with_name(f".{run_folder.name}.lock"), busy):
        resume_from = 0
        if cfg.restart_behavior == "resume":
            resume_from = check_resumable(run_folder, cfg.num_policies)
            if policy_checkpoints(run_folder):
                check_changes(cfg, run_folder, resume_from, given.accept_changes)
        if resume_from > cfg.train_for_env_steps:
            print(
                f"{run_folder} has {resume_from:,} of {cfg.train_for_env_steps:,} steps: nothing "
                "left to do; a larger --train_for_env_steps goes on"
            )
            return 0
        start_shared_memory()
        labels = labelling(read_settings(cfg)) if cfg.online else contextlib.nullcontext()
        with labels, parent_of_workers(run_folder):
            return _run(cfg, run_folder, resume_from)


def make_runner(cfg: RLSettings) -> Runner:
    """Sample Factory's runner.

    Its own function of this name reads ``config.json`` once more, and undoes what was settled.
    """
    kind = SerialRunner if cfg.serial_mode else ParallelRunner
    if cfg.bonus in TRAINED:
        kind = type(kind.__name__, (BonusRunner, kind), {})
    runner = kind(cfg)
    if cfg.with_pbt:
        runner.register_observer(PopulationBasedTraining(cfg, runner))
    return runner


def _run(cfg: RLSettings, run_folder: Path, resume_from: int) -> int:
    register_components()
    # Large tensors in huge pages: the learner makes new ones all the time (docs/performance.md).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    received: list[int] = []

    def interrupt(signum: int, frame: object) -> None:
        if not received:  # a second signal must not cut the saving short
            received.append(signum)
            raise KeyboardInterrupt

    previous = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        runner = make_runner(cfg)
        total = cfg.train_for_env_steps * cfg.num_policies
        runner.register_observer(ProgressBar(total, resume_from))
        if cfg.online:
            runner.register_observer(OnlineFigures(run_folder / "online"))
        runner.register_observer(SaveEverySteps(cfg.save_every_steps, resume_from))
        means = BONUS_FIGURES if cfg.bonus in TRAINED else ()
        columns = find_game(cfg.game).info_columns
        episodes = EpisodeLog(run_folder, resume_from, columns, means)
        runner.register_episodic_stats_handler(episodes.record)
        status = runner.init()
        if status == ExperimentStatus.SUCCESS:
            status = runner.run()
    except KeyboardInterrupt:  # while starting; Sample Factory's loop ends by itself
        if not received:
            raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if received:
        return EXIT_INTERRUPTED if received[0] == signal.SIGINT else EXIT_TERMINATED
    if status != ExperimentStatus.SUCCESS:
        return EXIT_ERROR
    print(f"the agent ({cfg.encoder_custom}) is in {run_folder}")
    watch = command("watch", train_dir=cfg.train_dir, experiment=cfg.experiment)
    print(f"watch it: {watch}")
    return 0

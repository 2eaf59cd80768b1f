"""Short RL runs in this process, for tests: few frames, short games, one thread."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium

from scripts import main

EPISODE_STEPS = 20


def short_run(train_dir: Path, experiment: str, *flags: str) -> list[str]:
    """A command line that two environments and some seconds suffice for."""
    line = "--num_workers 1 --num_envs_per_worker 2 --worker_num_splits 1 --batch_size 64 "
    line += "--device cpu --stats_avg 4 --seed 7 --reward_scale 0.1 --obs_scale 255.0 "
    line += "--decorrelate_experience_max_seconds 0"
    where = ["--train_dir", str(train_dir), "--experiment", experiment]
    return [*line.split(), *where, *flags]


SERIAL = ("--serial_mode", "True", "--async_rl", "False")


@contextlib.contextmanager
def short_games(steps: int = EPISODE_STEPS) -> Any:
    """Games of this process end after ``steps``, and no process is spawned to look at one."""
    from sample_factory.algo.runners import runner
    from sample_factory.algo.utils.env_info import extract_env_info
    from sample_factory.algo.utils.make_env import make_env_func_batched

    def env_info(cfg: Any) -> Any:
        env = make_env_func_batched(cfg, env_config=None)
        info = extract_env_info(env, cfg)
        env.close()
        return info

    import motif.games.nethack

    with contextlib.ExitStack() as stack:
        for task in motif.games.nethack.TASKS:
            kwargs = gymnasium.registry[task].kwargs
            stack.enter_context(mock.patch.dict(kwargs, max_episode_steps=steps))
        name = "obtain_env_info_in_a_separate_process"
        stack.enter_context(mock.patch.object(runner, name, env_info))
        yield


def train_here(train_dir: Path, experiment: str, *flags: str) -> int:
    """Train in this process, serially, with short games; the exit status."""
    with short_games():
        return main.main(short_run(train_dir, experiment, *SERIAL, *flags))


def read_episodes(run_folder: Path) -> list[dict[str, float]]:
    with (run_folder / "episodes.csv").open() as file:
        rows = csv.DictReader(file)
        return [{name: float(value) for name, value in row.items()} for row in rows]


def env_steps(run_folder: Path) -> list[int]:
    """Environment steps of the policy checkpoints of a run, ascending."""
    names = [path.stem for path in (run_folder / "checkpoint_p0").glob("checkpoint_*.pth")]
    return sorted(int(name.rpartition("_")[2]) for name in names)

"""Every way of sampling gives the same rewards for the same games."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rl_command import read_episodes, short_run
from sample_factory.algo.utils.make_env import BatchedVecEnv, SequentialVectorizeWrapper

from motif.errors import ConfigError
from sample_factory_ext.batched_games import GameVector, finished_games
from sample_factory_ext.environment import make_env
from sample_factory_ext.parameters import ENVIRONMENT, parse_rl_args, settle_sampling

pytestmark = pytest.mark.nle
PROGRAM = Path(__file__).with_name("scripted_games.py")
ROOT = PROGRAM.parent.parent.parent
MODES = {
    "serial": "--num_workers 1 --num_envs_per_worker 4 --serial_mode True --async_rl False",
    "serial_batched": "--num_workers 1 --num_envs_per_worker 4 --serial_mode True --async_rl False "
    "--worker_num_splits 2",
    "synchronous": "--num_workers 2 --num_envs_per_worker 2 --async_rl False",
    "asynchronous": "--num_workers 1 --num_envs_per_worker 4",
    "batched": "--num_workers 2 --num_envs_per_worker 2",
    "two_splits": "--num_workers 1 --num_envs_per_worker 4 --worker_num_splits 2",
}


def sample(mode, reward_folder, folder):
    """Rewards by environment and game of a short training run, and its folder."""
    games = folder / mode
    games.mkdir()
    rewards = f"--reward_dir {reward_folder} --llm_reward 0.1 --eps_threshold_quantile 0"
    batched = "batched" in mode or mode == "two_splits"
    flags = f"{rewards} --batched_sampling {batched} --batch_size 128 {MODES[mode]}"
    flags += " --train_for_env_steps 600"
    done = subprocess.run(
        [sys.executable, PROGRAM, games, *short_run(folder, f"run_{mode}", *flags.split())],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    played = {path.stem: json.loads(path.read_text()) for path in sorted(games.glob("*.json"))}
    return played, folder / f"run_{mode}"


@pytest.mark.slow
def test_all_ways_of_sampling_pay_the_same(reward_folder, tmp_path):
    expected, _ = sample("serial", reward_folder, tmp_path)
    assert {f"{number}_0" for number in range(4)} <= set(expected)
    assert len({json.dumps(rewards) for rewards in expected.values()}) == len(expected)
    for mode in list(MODES)[1:]:
        played, run_folder = sample(mode, reward_folder, tmp_path)
        both = set(played) & set(expected)
        assert len(both) >= 2, mode  # one worker may have played alone: the other started later
        assert {name: played[name] for name in both} == {name: expected[name] for name in both}
        returns = [round(sum(rewards), 3) for rewards in played.values()]
        for episode in read_episodes(run_folder):  # and are reported as they were paid
            total = episode["extrinsic_return"] + episode["intrinsic_return"]
            assert min(abs(total - paid) for paid in returns) < 0.01, mode


# One object for many games


def games_of(reward_folder, count=3):
    flags = ["--llm_reward", "0.1", "--reward_dir", str(reward_folder)]
    cfg = parse_rl_args([*flags, "--eps_threshold_quantile", "0"])
    envs = []
    for number in range(count):
        env = make_env(ENVIRONMENT, cfg)
        env.unwrapped.seed(number, number, False)
        env.unwrapped._max_episode_steps = 7
        envs.append(BatchedVecEnv(env))
    return envs


def roll(vector, steps=6):
    """Observations, rewards and ends of seeded games under scripted keys, copied."""
    rng, records = np.random.default_rng(5), []
    observation, _ = vector.reset()
    records.append([array.numpy().copy() for _, array in sorted(observation.items())])
    for _ in range(steps):
        observation, *paid, _ = vector.step(rng.integers(0, 23, vector.num_agents))
        arrays = [array for _, array in sorted(observation.items())] + paid
        records.append([array.numpy().copy() for array in arrays])
    vector.close()
    return records


def test_the_vector_gives_what_sample_factorys_gives(reward_folder):
    ours = roll(GameVector(games_of(reward_folder)))
    theirs = roll(SequentialVectorizeWrapper(games_of(reward_folder)))
    for mine, their in zip(ours, theirs, strict=True):
        for array, expected in zip(mine, their, strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)


def test_games_that_end_begin_anew_and_report(reward_folder):
    vector = GameVector(games_of(reward_folder, 2))
    vector.reset()
    for step in range(1, 15):
        _, _, terminated, _, infos = vector.step(np.zeros(2, np.int32))
        assert terminated.tolist() == [step % 7 == 0] * 2
        reports = finished_games(infos)
        assert bool(reports) == (step % 7 == 0)
    for number, info in enumerate(infos):
        assert reports["true_objective"][number].item() == pytest.approx(info["true_objective"])
        for name, value in info["episode_extra_stats"].items():
            assert reports[name][number].item() == pytest.approx(value)
    vector.close()


def test_one_of_several_games_reports():
    ended = {"true_objective": 3.0, "episode_extra_stats": {"dlvl": 2.0}}
    reports = finished_games([{}, ended, {"score": 1}])
    assert {name: values.tolist() for name, values in reports.items()} == {
        "true_objective": [0.0, 3.0, 0.0],
        "dlvl": [0.0, 2.0, 0.0],
    }
    assert all(isinstance(values, torch.Tensor) for values in reports.values())


@pytest.mark.parametrize(
    "flags, batched",
    [
        ("--num_envs_per_worker 32 --batch_size 2048", True),  # 16 games, 64 rollouts
        ("--num_envs_per_worker 20 --batch_size 4096", False),  # 10 games, 128 rollouts
        ("--num_envs_per_worker 16 --batch_size 4096", True),
        ("--num_envs_per_worker 64 --batch_size 512", True),  # 32 games, 16 rollouts
        ("--num_envs_per_worker 32 --batch_size 2048 --num_policies 2", False),
        ("--num_envs_per_worker 32 --batch_size 2048 --batched_sampling False", False),
    ],
)
def test_sampling_is_batched_where_it_fits(flags, batched):
    cfg = parse_rl_args(flags.split())
    settle_sampling(cfg)
    assert cfg.batched_sampling is batched


def test_batched_sampling_that_does_not_fit():
    flags = "--num_envs_per_worker 20 --batch_size 4096 --batched_sampling True"
    message = "--batched_sampling True: the 10 games .* and the 128 rollouts"
    with pytest.raises(ConfigError, match=message):
        settle_sampling(parse_rl_args(flags.split()))

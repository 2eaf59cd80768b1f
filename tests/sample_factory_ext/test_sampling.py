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
from rl_command import read_episodes, short_games, short_run
from sample_factory.algo.utils.make_env import BatchedVecEnv, SequentialVectorizeWrapper
from scripted_games import STEPS, ScriptedGames

from motif.errors import ConfigError
from motif.games.nethack.environment import NetHackTask
from motif.intrinsic.wrapper import IntrinsicReward
from sample_factory_ext.batched_games import GameVector, finished_games
from sample_factory_ext.environment import make_env
from sample_factory_ext.parameters import ENVIRONMENT, parse_rl_args, settle_sampling

pytestmark = pytest.mark.nle
PROGRAM = Path(__file__).with_name("scripted_games.py")
ROOT = PROGRAM.parent.parent.parent
ROLLOUT, TRAINED_ON = 32, 600
# New messages are scored by one call for all games of a worker, and a matrix product of other
# sizes rounds otherwise on some processors: up to 7e-8 seen.
ROUNDING = 1e-6
MODES = {  # workers, games of each, flags
    "serial": (1, 4, "--serial_mode True --async_rl False"),
    "serial_batched": (1, 4, "--serial_mode True --async_rl False --worker_num_splits 2"),
    "synchronous": (2, 2, "--async_rl False"),
    "asynchronous": (1, 4, ""),
    "asynchronous_many": (2, 2, ""),
    "batched": (2, 2, ""),
    "batched_two_splits": (1, 4, "--worker_num_splits 2"),
}


def reward_flags(reward_folder):
    return f"--reward_dir {reward_folder} --llm_reward 0.1 --eps_threshold_quantile 0".split()


@pytest.fixture(scope="module")
def paid(reward_folder):
    """What the games pay, played here one after the other: by number, rewards and ends."""
    cfg = parse_rl_args(["--reward_scale", "0.1", *reward_flags(reward_folder)])
    games = {}
    with short_games(STEPS):
        for number in range(4):
            env = ScriptedGames(make_env(ENVIRONMENT, cfg), number)
            env.reset()
            rewards, ends = [], []
            while len(rewards) < 1.5 * TRAINED_ON:  # more than any of them gets to play
                _, reward, ended, *_ = env.step(0)
                rewards.append(reward)
                ends.append(ended)
                if ended:
                    env.reset()
            env.close()
            games[number] = np.array(rewards), np.array(ends)
    return games


def starts_of(rewards, ends, rollouts):
    """Where a rollout was played: those of ``rollouts`` that it equals but for rounding."""
    return [
        place
        for place, (others, their_ends) in rollouts.items()
        if np.array_equal(ends, their_ends) and np.allclose(rewards, others, 0, ROUNDING)
    ]


def sample(mode, reward_folder, folder):
    """A short training run; the folders of its games and batches and of the run."""
    games = folder / "games"
    games.mkdir()
    workers, each, more = MODES[mode]
    flags = f"--num_workers {workers} --num_envs_per_worker {each} --batch_size 128 {more} "
    flags += f"--batched_sampling {'batched' in mode} --train_for_env_steps {TRAINED_ON}"
    line = short_run(folder, "run", *reward_flags(reward_folder), *flags.split())
    done = subprocess.run(
        [sys.executable, PROGRAM, games, *line],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return games, folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_all_ways_of_sampling_pay_the_same(mode, reward_folder, paid, tmp_path):
    folder, run_folder = sample(mode, reward_folder, tmp_path)
    workers, each, _ = MODES[mode]

    # What the environments paid, game by game.
    expected, rollouts = {}, {}
    for number, (rewards, ends) in paid.items():
        games = np.split(rewards, np.flatnonzero(ends) + 1)
        expected |= {f"{number}_{game}": list(each) for game, each in enumerate(games)}
        for start in range(0, len(rewards) - ROLLOUT, ROLLOUT):
            part = slice(start, start + ROLLOUT)
            assert not starts_of(rewards[part], ends[part], rollouts)  # each tells its place
            rollouts[number, start] = rewards[part], ends[part]
    played = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    for name, rewards in played.items():
        assert rewards == pytest.approx(expected[name], abs=ROUNDING)

    # What reached the learner, rollout by rollout: from each worker, nothing twice.
    batches = [np.load(path) for path in sorted(folder.glob("batch_*.npz"))]
    rows = [row for batch in batches for row in zip(batch["rewards"], batch["dones"])]
    assert len(rows) * ROLLOUT >= TRAINED_ON
    found = [starts_of(rewards, ends, rollouts) for rewards, ends in rows]
    assert {len(starts) for starts in found} == {1}
    learnt = [starts[0] for starts in found]
    assert len(set(learnt)) == len(learnt)
    assert {number // each for number, _ in learnt} == set(range(workers))
    if "batched" not in mode:  # the games of a worker start a rollout apart
        assert all(start >= ROLLOUT * (number % each) for number, start in learnt)

    # What was reported: each game by its own sum.
    reports = read_episodes(run_folder)
    assert len(reports) >= 4
    sums = np.array([sum(rewards) for rewards in played.values()])
    for report in reports:
        total = report["extrinsic_return"] + report["intrinsic_return"]
        assert np.abs(sums - total).min() < 1e-4


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


def test_all_games_are_stepped_before_anything_is_made_of_it(reward_folder, monkeypatch):
    vector, calls = GameVector(games_of(reward_folder)), []
    vector.reset()
    for kind in (NetHackTask, IntrinsicReward):
        name = {NetHackTask: "step", IntrinsicReward: "after"}[kind]
        original = getattr(kind, name)

        def noted(self, argument, kind=kind, original=original):
            calls.append(kind)
            return original(self, argument)

        monkeypatch.setattr(kind, name, noted)
    vector.step(np.zeros(3, np.int32))
    assert calls == [NetHackTask] * 3 + [IntrinsicReward] * 3
    vector.close()


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

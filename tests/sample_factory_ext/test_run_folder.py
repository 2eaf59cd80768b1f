"""What a run keeps beside Sample Factory's files: episodes, checkpoints, its lock."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from motif.atomic_write import temporary_path
from motif.errors import CheckpointError
from motif.games.nethack.adapter import NetHack
from sample_factory_ext.run_folder import (
    EPISODE_COLUMNS,
    EpisodeLog,
    ProgressBar,
    SaveEverySteps,
    check_resumable,
    policy_checkpoints,
    read_policy_checkpoint,
    read_run_config,
)

INFO = NetHack.info_columns


def write_checkpoint(run_folder, train_step, env_steps, policy=0):
    path = run_folder / f"checkpoint_p{policy}" / f"checkpoint_{train_step:09d}_{env_steps}.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": {}, "train_step": train_step, "env_steps": env_steps}, path)
    return path


def episode(value):
    extra = dict.fromkeys([*EPISODE_COLUMNS[3:], *INFO], 0.0) | {
        "score": value,
        "intrinsic_return": 1 / 3,
    }
    return {"episodic": {"true_objective": value, "len": 20, "episode_extra_stats": extra}}


def runner_at(*steps):
    return SimpleNamespace(env_steps=dict(enumerate(steps)))


# episodes.csv


def test_episodes_are_rows_in_order(tmp_path):
    log = EpisodeLog(tmp_path, 0, INFO)
    log.record(runner_at(), episode(1.5), 0)  # before the learner's first batch
    log.record(runner_at(64), episode(1234567.0), 0)
    assert log.path.read_text().splitlines() == [
        ",".join([*EPISODE_COLUMNS, *INFO]),
        "0,1.5,20,0,0.333333,1.5,0,0,0,0",
        "64,1.23457e+06,20,0,0.333333,1.23457e+06,0,0,0,0",
    ]


def test_resuming_drops_the_games_after_the_checkpoint(tmp_path):
    log = EpisodeLog(tmp_path, 0, INFO)
    for steps in (32, 64, 96, 128):
        log.record(runner_at(steps), episode(float(steps)), 0)
    resumed = EpisodeLog(tmp_path, 64, INFO)
    resumed.record(runner_at(96), episode(7.0), 0)
    rows = [line.split(",")[:2] for line in resumed.path.read_text().splitlines()[1:]]
    assert rows == [["32", "32"], ["64", "64"], ["96", "7"]]


def test_a_run_that_an_older_version_began_keeps_its_games_and_columns(tmp_path):
    EpisodeLog(tmp_path, 0, INFO[:-1]).record(runner_at(32), episode(1.0), 0)
    resumed = EpisodeLog(tmp_path, 64, INFO)
    resumed.record(runner_at(96), episode(7.0), 0)
    header, *rows = (line.split(",") for line in resumed.path.read_text().splitlines())
    assert header == [*EPISODE_COLUMNS, *INFO[:-1]]
    assert [(row[0], row[1], len(row)) for row in rows] == [("32", "1", 9), ("96", "7", 9)]
    assert (
        EpisodeLog(tmp_path, 0, INFO).path.read_text() == ",".join([*EPISODE_COLUMNS, *INFO]) + "\n"
    )


def test_a_new_run_forgets_the_games_of_one_without_checkpoint(tmp_path):
    EpisodeLog(tmp_path, 0, INFO).record(runner_at(32), episode(1.0), 0)
    assert EpisodeLog(tmp_path, 0, INFO).path.read_text().splitlines() == [
        ",".join([*EPISODE_COLUMNS, *INFO])
    ]


@pytest.mark.parametrize(
    "damage",
    ["64,1.5,20", "64", "6", "x,1,2,3,4,5,6,7,8,9\n", "inf,1,2,3,4,5,6,7,8,9\n", "\0\n", "\x80\n"],
)
def test_a_damaged_last_line_is_left_out(tmp_path, damage):
    log = EpisodeLog(tmp_path, 0, INFO)
    log.record(runner_at(32), episode(1.0), 0)
    with log.path.open("a") as file:
        file.write(damage)
    assert len(EpisodeLog(tmp_path, 100, INFO).path.read_text().splitlines()) == 2


# Saving


class FakeRunner:
    def __init__(self):
        self.env_steps, self.saved = {}, []
        self.save_periodic = SimpleNamespace(emit=lambda: self.saved.append(dict(self.env_steps)))


def saves(every, resume_from, steps):
    runner, observer = FakeRunner(), SaveEverySteps(every, resume_from)
    for iteration, value in enumerate(steps):
        runner.env_steps = {0: value}
        observer.on_training_step(runner, iteration)
    return [saved[0] for saved in runner.saved]


def test_a_checkpoint_each_time_a_multiple_is_passed():
    assert saves(100, 0, range(0, 500, 64)) == [128, 256, 320, 448]
    assert saves(100, 0, [64, 450, 460]) == [450]
    assert saves(64, 0, [64, 128]) == [64, 128]


def test_a_resumed_run_does_not_save_until_the_next_multiple():
    assert saves(100, 250, [256, 288, 320, 352]) == [320]
    assert saves(100, 300, [320, 352, 416]) == [416]


def test_several_policies_count_together():
    runner, observer = FakeRunner(), SaveEverySteps(100, 0)
    runner.env_steps = {0: 60, 1: 30}
    observer.on_training_step(runner, 0)
    assert runner.saved == []
    runner.env_steps = {0: 60, 1: 60}
    observer.on_training_step(runner, 1)
    assert len(runner.saved) == 1


def test_the_progress_bar_counts_from_where_the_run_was(capsys):
    bar = ProgressBar(total=1000, resume_from=200)
    runner = runner_at(264)
    runner.policy_avg_stats = {"true_objective": [[1.0, 2.0]], "len": [[]]}
    bar.on_training_step(runner, 0)
    assert (bar._bar.n, bar._bar.total) == (264, 1000)
    runner.env_steps = {0: 1100}
    bar.on_training_step(runner, 1)
    assert bar._bar.n == 1000
    bar.on_stop(runner)
    assert "return=1.5" in capsys.readouterr().err


# Checkpoints


def test_checkpoints_are_found_by_environment_steps(tmp_path):
    late = write_checkpoint(tmp_path, 31, 992)
    early = write_checkpoint(tmp_path, 4, 128)
    (late.parent / "checkpoint_temp").touch()
    (late.parent / "best_000000004_128_reward_1.000.pth").touch()
    assert policy_checkpoints(tmp_path) == {128: early, 992: late}
    assert list(policy_checkpoints(tmp_path)) == [128, 992]
    assert read_policy_checkpoint(tmp_path)["env_steps"] == 992


def test_no_checkpoint_names_the_command(tmp_path):
    with pytest.raises(CheckpointError, match=r"no policy checkpoint in .*python -m scripts\.main"):
        read_policy_checkpoint(tmp_path)


def test_a_run_is_resumed_from_its_last_checkpoint(tmp_path):
    assert check_resumable(tmp_path) == 0
    write_checkpoint(tmp_path, 4, 128)
    last = write_checkpoint(tmp_path, 8, 256)
    left = [last.parent / "checkpoint_temp", temporary_path(last)]
    for temporary in left:
        temporary.write_bytes(b"half")
    assert check_resumable(tmp_path) == 256
    assert not any(temporary.exists() for temporary in left)
    write_checkpoint(tmp_path, 9, 288, policy=1)
    assert check_resumable(tmp_path) == 256
    assert check_resumable(tmp_path, policies=2) == 288


@pytest.mark.parametrize("kept", [0, 10, 500])
def test_a_damaged_checkpoint_is_named_not_started_over(tmp_path, kept):
    write_checkpoint(tmp_path, 4, 128)
    damaged = write_checkpoint(tmp_path, 8, 256)
    damaged.write_bytes(damaged.read_bytes()[:kept])
    with pytest.raises(
        CheckpointError, match=r"checkpoint_000000008_256\.pth is damaged .*delete it to go on"
    ):
        check_resumable(tmp_path)
    damaged.unlink()  # what the message says
    assert check_resumable(tmp_path) == 128


def test_a_flipped_bit_in_a_checkpoint_is_named(tmp_path):
    path = write_checkpoint(tmp_path, 8, 256)
    torch.save({"model": {"w": torch.ones(1000)}, "train_step": 8, "env_steps": 256}, path)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4  # within the weights
    path.write_bytes(raw)
    for read in (check_resumable, read_policy_checkpoint):
        with pytest.raises(CheckpointError, match=r"256\.pth is damaged \(checksum of its part"):
            read(tmp_path)


def test_another_file_is_no_policy_checkpoint(tmp_path):
    torch.save({"model": {}}, write_checkpoint(tmp_path, 8, 256))
    with pytest.raises(CheckpointError, match=r"256\.pth is no policy checkpoint; delete it"):
        check_resumable(tmp_path)


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 7')
    for read in (check_resumable, read_run_config):
        with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
            read(tmp_path)


def test_the_config_is_read_as_attributes(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"seed": 7}))
    assert read_run_config(tmp_path).seed == 7
    with pytest.raises(CheckpointError, match=r"no RL run in .*/none \(config\.json is missing\)"):
        read_run_config(tmp_path / "none")

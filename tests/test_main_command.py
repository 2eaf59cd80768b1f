"""Stage 3 through its command line: training, going on, ending, bad input."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from rl_command import env_steps, read_episodes, short_run, train_here

from scripts import main

pytestmark = pytest.mark.nle
pytest.importorskip("sample_factory")
ROOT = Path(__file__).resolve().parent.parent


def rewards_from(reward_folder, *flags):
    return ["--reward_dir", str(reward_folder), "--llm_reward", "0.1", *flags]


# Training


def test_a_run_leaves_checkpoints_and_its_episodes(rl_run):
    saved = env_steps(rl_run)
    # The last one is saved at the end: of 200 steps, and of the batches already on their way.
    assert 200 <= saved[-1] <= 200 + 3 * 64
    assert len(saved) >= 3
    assert all(later - earlier >= 64 for earlier, later in itertools.pairwise(saved))
    episodes = read_episodes(rl_run)
    assert len(episodes) >= 8  # two environments, games of 20 steps, some 200 steps
    for episode in episodes:
        assert 1 <= episode["length"] <= 20
        assert episode["dlvl"] >= 1
        assert episode["scout"] > 0
        # 0.1 · return, of which nothing is clipped in so short a game
        assert episode["extrinsic_return"] == pytest.approx(0.1 * episode["return"], abs=1e-4)
    assert any(episode["intrinsic_return"] != 0 for episode in episodes)
    assert [episode["env_steps"] for episode in episodes] == sorted(
        episode["env_steps"] for episode in episodes
    )


def test_the_network_learns_from_the_run(rl_run):
    first, *_, last = sorted((rl_run / "checkpoint_p0").glob("*.pth"))
    weights = [torch.load(path, weights_only=True)["model"] for path in (first, last)]
    changed = {name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])}
    assert changed == set(weights[0])


def test_the_same_command_goes_on(rl_run, reward_folder, tmp_path, capfd):
    shutil.copytree(rl_run, tmp_path / "toy_agent")
    before, episodes = env_steps(rl_run), read_episodes(rl_run)
    flags = rewards_from(reward_folder, "--save_every_steps", "64", "--keep_checkpoints", "9")
    goal = before[-1] + 64
    assert train_here(tmp_path, "toy_agent", *flags, "--train_for_env_steps", str(goal)) == 0
    after, more = env_steps(tmp_path / "toy_agent"), read_episodes(tmp_path / "toy_agent")
    assert after[: len(before)] == before
    assert goal <= after[-1] <= goal + 3 * 64
    assert more[: len(episodes)] == episodes
    assert len(more) > len(episodes)
    assert more[len(episodes)]["env_steps"] >= episodes[-1]["env_steps"]
    capfd.readouterr()
    assert train_here(tmp_path, "toy_agent", *flags, "--train_for_env_steps", str(goal - 64)) == 0
    assert "nothing left to do" in capfd.readouterr().out
    assert env_steps(tmp_path / "toy_agent") == after


def test_extrinsic_only_needs_no_reward_folder(tmp_path, capfd):
    flags = "--llm_reward 0.0 --reward_dir nowhere --train_for_env_steps 64 --extrinsic_reward 2.0"
    flags += " --root_env NetHackStaircaseContinual-v1"
    assert train_here(tmp_path, "extrinsic", *flags.split()) == 0
    episodes = read_episodes(tmp_path / "extrinsic")
    assert episodes
    assert {episode["intrinsic_return"] for episode in episodes} == {0.0}
    captured = capfd.readouterr()
    assert "watch it: python -m scripts.visualize" in captured.out
    assert "Warning" not in captured.err  # of Gymnasium or torch: the terminal is for the user


def test_intrinsic_only(reward_folder, tmp_path):
    flags = rewards_from(reward_folder, "--extrinsic_reward", "0.0", "--train_for_env_steps", "64")
    assert train_here(tmp_path, "intrinsic", *flags, "--rew_norm", "False") == 0
    episodes = read_episodes(tmp_path / "intrinsic")
    assert any(episode["return"] != 0 for episode in episodes)
    assert {episode["extrinsic_return"] for episode in episodes} == {0.0}
    assert any(episode["intrinsic_return"] != 0 for episode in episodes)


# Ending: real processes, asynchronous as the paper trains


@contextlib.contextmanager
def training(arguments, output):
    """A run in a process of its own, killed with all that it started if it is still there."""
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.main", *arguments],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        workers = []
        try:
            yield process, workers
        finally:
            if process.poll() is None:
                workers += psutil.Process(process.pid).children(recursive=True)
            for one in (process, *workers):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()


def wait_for_step(process, workers, run_folder, steps):
    """Until a checkpoint of ``steps`` or more is there; adds the run's processes to ``workers``."""
    deadline = time.monotonic() + 180
    while not [saved for saved in env_steps(run_folder) if saved >= steps]:
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.2)
    workers += psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 3  # learner, inference, rollout


@pytest.mark.slow
def test_sigterm_and_kill_leave_a_checkpoint_and_no_orphan(reward_folder, tmp_path, capsys):
    run_folder, output = tmp_path / "run", tmp_path / "output.txt"
    flags = rewards_from(reward_folder, "--save_every_steps", "64", "--keep_checkpoints", "2")
    arguments = short_run(tmp_path, "run", *flags)
    with training(arguments, output) as (process, workers):
        wait_for_step(process, workers, run_folder, 128)
        assert main.main(arguments) == 2
        assert "another run is training in" in capsys.readouterr().err
        process.terminate()
        assert process.wait(60) == 143
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive
    reached = env_steps(run_folder)[-1]
    assert reached >= 128
    assert "Traceback" not in output.read_text()

    with training(arguments, output) as (process, workers):  # the same command goes on
        wait_for_step(process, workers, run_folder, reached + 64)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not alive
    assert min(env_steps(run_folder)) >= reached - 64  # it did not begin anew
    assert "Traceback" not in output.read_text()


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_it_starts(tmp_path, monkeypatch, number, status):
    monkeypatch.setattr(
        "sample_factory_ext.train.make_runner", lambda cfg: os.kill(os.getpid(), number)
    )
    before = signal.getsignal(number)
    assert main.main(short_run(tmp_path, "run")) == status
    if number == signal.SIGINT:
        assert signal.getsignal(number) == before


def test_sigint_counts_in_a_run_that_a_script_started_with_an_ampersand(tmp_path, monkeypatch):
    """Such a run inherits SIGINT as ignored."""
    monkeypatch.setattr(
        "sample_factory_ext.train.make_runner", lambda cfg: os.kill(os.getpid(), signal.SIGINT)
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert main.main(short_run(tmp_path, "run")) == 130
    finally:
        signal.signal(signal.SIGINT, before)


# Bad input: a line that says what to do, no traceback, nothing started


def no_checkpoint(folder):
    shutil.rmtree(folder / "checkpoint_p0")


def damaged_reward(folder):
    for path in folder.glob("checkpoint_p0/*.pth"):
        path.write_bytes(path.read_bytes()[:500])


def policy_instead_of_reward(folder):
    for path in folder.glob("checkpoint_p0/*.pth"):
        torch.save({"model": {}, "train_step": 1, "env_steps": 32}, path)


def untouched(folder):
    pass


@pytest.mark.parametrize(
    "spoil, flags, message",
    [
        (
            untouched,
            "--root_env NetHackChess-v1",
            "unknown --root_env 'NetHackChess-v1'; there are: Net",
        ),
        (untouched, "--eps_threshold_quantile 0.33", r"--eps_threshold_quantile 0\.33: .*choose"),
        (untouched, "--num_workers 0", "--num_workers 0: at least 1 is needed"),
        (untouched, "--save_every_steps 0", "--save_every_steps 0: at least 1 is needed"),
        (untouched, "--encoder_msg_model lt_cnn", "was made with --encoder_msg_model lt_cnn_small"),
        (untouched, "--checkpoint_num 7777", "--checkpoint_num 7777: .* has the iterations"),
        (untouched, "--reward_dir {tmp}/none", r"no reward folder .*/none; train one: python -m"),
        (untouched, "--reward_dir=", r"--llm_reward 0\.1 needs --reward_dir"),
        (
            no_checkpoint,
            "",
            r"no reward checkpoint in .*train one: python -m scripts\.train_reward",
        ),
        (damaged_reward, "", r"checkpoint_\d+\.pth .*damaged"),
        (policy_instead_of_reward, "", "is no reward checkpoint: it lacks"),
        (untouched, "--train_dir {tmp}/file", r"\w.*: .*/file"),
        (untouched, "--save_ttyrec_every 1 --save_dir {tmp}/file/games", r"\w.*: .*/file/games"),
    ],
)
def test_bad_input(reward_folder, tmp_path, capsys, spoil, flags, message):
    reward = shutil.copytree(reward_folder, tmp_path / "reward")
    spoil(reward)
    (tmp_path / "file").write_text("a file where a folder should be")
    line = short_run(tmp_path / "runs", "run", *rewards_from(reward))
    assert main.main([*line, *flags.format(tmp=tmp_path).split()]) == 2
    captured = capsys.readouterr()
    assert re.search(f"^error: .*{message}", captured.err, re.MULTILINE)
    assert "Traceback" not in captured.err
    assert not list((tmp_path / "runs").rglob("*.pth"))


def test_a_gpu_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main.main(short_run(tmp_path, "run", "--device", "gpu")) == 2
    assert "error: --device gpu: torch sees no GPU here; use --device cpu" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["checkpoint", "config"])
def test_a_damaged_run_is_not_started_over(rl_run, tmp_path, capsys, name):
    run_folder = shutil.copytree(rl_run, tmp_path / "run")
    (*_, last) = sorted(run_folder.glob("checkpoint_p0/*.pth"))
    damaged = {"checkpoint": last, "config": run_folder / "config.json"}[name]
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert train_here(tmp_path, "run", "--train_for_env_steps", "9999") == 2
    assert re.search(
        f"^error: .*{damaged.name} (is damaged|cannot be read)", capsys.readouterr().err
    )
    assert len(list(run_folder.glob("checkpoint_p0/*.pth"))) == len(env_steps(rl_run))


def test_a_wrong_flag_ends_without_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.main", "--algo", "DQN", "--rew_norm", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "error: --algo DQN: only APPO is supported"

"""Disks that are full or read-only, real ones: an error in one line, nothing lost, then on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from motif.pairs_dataset import ARRAYS, PairsDataset
from motif.reward.checkpoint import list_checkpoints, read_checkpoint
from scripts import annotate_pairs_dataset, collect_pairs_dataset, train_reward

FILLER = ".filler"


class Disk:
    """A small file system in memory, mounted at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)

    def fill(self, leave: int) -> None:
        """Take all room but ``leave`` bytes."""
        free = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize
        (self.path / FILLER).write_bytes(bytes(max(free - leave, 0)))

    def make_room(self) -> None:
        (self.path / FILLER).unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a file system can be mounted by root only")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


def one_line(capsys: pytest.CaptureFixture[str], expected: str) -> None:
    said = capsys.readouterr().err
    assert re.search(rf"^error: .*{expected}", said, re.MULTILINE), said
    assert "Traceback" not in said


# Collecting


def collect(folder: Path) -> int:
    line = f"--directory {folder} --num_pairs 600 --max_episode_steps 100 --seed 5"
    return collect_pairs_dataset.main(line.split())


@pytest.mark.nle
@pytest.mark.parametrize("leave", [0, 400_000, 1_500_000, 6_000_000])
def test_collecting_onto_a_full_disk(disk, capsys, leave):
    """Full from the start, while playing, and while the arrays are written."""
    folder = disk.path / "motif_dataset"
    disk.fill(leave)
    assert collect(folder) == 2
    one_line(capsys, "No space left on device")
    assert not (folder / "data").exists()
    disk.make_room()
    assert collect(folder) == 0
    assert len(PairsDataset(folder, keys=tuple(ARRAYS))) == 600
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.nle
def test_collecting_onto_a_read_only_disk(disk, capsys):
    disk.remount("ro")
    assert collect(disk.path / "motif_dataset") == 2
    one_line(capsys, "Read-only file system: .*motif_dataset")


# Annotating


def test_annotating_onto_a_full_disk(disk, make_dataset, capsys):
    dataset = disk.path / "motif_dataset"
    (dataset / "data").mkdir(parents=True)
    shutil.copy(make_dataset(5_000).path("message"), dataset / "data")
    line = ["--directory", str(dataset), "--annotator-type", "rules"]
    disk.fill(0)
    assert annotate_pairs_dataset.main(line) == 2
    one_line(capsys, r"No space left on device: .*rules_msg_defaultgoal.*; make room")
    disk.make_room()
    assert annotate_pairs_dataset.main(line) == 0
    labels = np.load(dataset / "preference" / "rules_msg_defaultgoal.npy")
    assert len(labels) == 5_000 and not (labels == 3).any()


# Training the reward


@pytest.fixture
def arguments(make_labelled_dataset, disk) -> list[str]:
    dataset = make_labelled_dataset(60)
    line = (
        f"--dataset_dir {dataset.directory} --train_dir {disk.path} --experiment toy --device cpu"
    )
    line += " --annotator toy --batch_size 16 --reward_lr 1e-3 --encoder_msg_model lt_cnn_small"
    return line.split()


@pytest.mark.filterwarnings("ignore:.*has no provenance")
def test_training_onto_a_full_disk(arguments, disk, capsys):
    assert train_reward.main([*arguments, "--num_epochs", "1"]) == 0
    run, before = disk.path / "toy", {}
    for path in list_checkpoints(run).values():
        before[path] = path.read_bytes()
    disk.fill(100_000)  # less than a checkpoint
    assert train_reward.main([*arguments, "--num_epochs", "2"]) == 2
    one_line(capsys, r"No space left on device: .*toy.*; make room")
    assert {path: path.read_bytes() for path in list_checkpoints(run).values()} == before
    assert not list(run.rglob("*.tmp"))
    disk.make_room()
    assert train_reward.main([*arguments, "--num_epochs", "2"]) == 0
    assert len(list_checkpoints(run)) == 3
    for path in list_checkpoints(run).values():
        read_checkpoint(path)


@pytest.mark.filterwarnings("ignore:.*has no provenance")
def test_training_onto_a_read_only_disk(arguments, disk, capsys):
    assert train_reward.main([*arguments, "--num_epochs", "1"]) == 0
    disk.remount("ro")
    assert train_reward.main([*arguments, "--num_epochs", "2"]) == 2
    one_line(capsys, "Read-only file system")
    disk.remount("rw")
    assert train_reward.main([*arguments, "--num_epochs", "2"]) == 0


# Training an agent


def train_agent(train_dir: Path) -> subprocess.CompletedProcess[str]:
    """Asynchronously, as the paper trains: the learner that saves is a process of its own."""
    from rl_command import short_run

    flags = "--llm_reward 0.0 --save_every_steps 64 --keep_checkpoints 9 --train_for_env_steps 256"
    return subprocess.run(
        [sys.executable, "-m", "scripts.main", *short_run(train_dir, "agent", *flags.split())],
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=900,
    )


@pytest.mark.slow
@pytest.mark.nle
def test_training_an_agent_onto_a_full_disk(disk):
    pytest.importorskip("sample_factory")
    from rl_command import env_steps

    from sample_factory_ext.run_folder import read_policy_checkpoint

    run = disk.path / "agent"
    disk.remount("size=64m")  # one checkpoint has 34 MB
    said = train_agent(disk.path)
    assert said.returncode == 2
    full = r"^error: No space left on device: .*checkpoint_\d+_\d+\.pth; make room, then start"
    assert re.search(full, said.stderr, re.MULTILINE), said.stderr
    assert re.search(r"^error: a process of the run ended .*learner", said.stderr, re.MULTILINE)
    (reached,) = env_steps(run)
    assert read_policy_checkpoint(run)["env_steps"] == reached
    assert not list(run.rglob("*.tmp"))
    disk.remount("size=512m")
    said = train_agent(disk.path)
    assert said.returncode == 0, said.stderr
    assert re.search(rf"\| {reached}(\.0)?/256 \[00:00<", said.stderr)  # it did not begin anew
    steps = env_steps(run)
    assert steps[0] == reached and steps[-1] >= 256
    assert read_policy_checkpoint(run)["env_steps"] == steps[-1]

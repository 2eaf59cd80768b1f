"""The commands of the README's stages, read from it and run one after the other in an empty folder.

What would take hours gets smaller numbers, named here; everything else runs as it stands there.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sample_factory")

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
LINKS = ("motif", "sample_factory_ext", "scripts", "motif_dataset_zipped", "models")
AGENT = "train_dir/rl_saving_dir/standard_motif"
REWARD = "train_dir/reward_saving_dir/standard_reward"
PAIRS = 1000  # in place of the shipped 50,000, once they are unpacked
pytestmark = [pytest.mark.slow, pytest.mark.nle]


def blocks(stage: int, language: str = "bash") -> list[str]:
    """The fenced blocks of one stage's section."""
    section = re.split(rf"^### {stage}\. .*$", README, flags=re.M)[1]
    section = re.split(r"^##", section, flags=re.M)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.M | re.S)


def smaller(command: str, **flags: object) -> str:
    """The command with other values of flags that it has."""
    for name, value in flags.items():
        command, count = re.subn(rf"--{name} \S+", f"--{name} {value}", command)
        assert count == 1, (name, command)
    return command


def paste(folder: Path, commands: str, status: int = 0) -> str:
    """Run what a reader pastes with the environment active; what it printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readme")
    for name in LINKS:
        (made / name).symlink_to(ROOT / name)
    return made


@pytest.fixture(scope="module")
def unpacked(folder: Path) -> Path:
    by_hand, ours, _ = blocks(0)[0].splitlines()
    paste(folder, by_hand)
    assert "nothing to do: 50,000 pairs in motif_dataset" in paste(folder, ours)
    return folder


@pytest.fixture(scope="module")
def collected(unpacked: Path) -> Path:
    paste(unpacked, smaller(blocks(0)[0].splitlines()[2], num_pairs=PAIRS))
    (unpacked / "motif_dataset").rename(unpacked / "shipped")
    (unpacked / "my_dataset").rename(unpacked / "motif_dataset")
    return unpacked


@pytest.fixture(scope="module")
def labelled(collected: Path) -> Path:
    paste(collected, blocks(1)[0])
    return collected


@pytest.fixture(scope="module")
def rewarded(labelled: Path) -> Path:
    paste(labelled, smaller(blocks(2)[0], num_epochs=2))
    return labelled


@pytest.fixture(scope="module")
def trained(rewarded: Path) -> Path:
    sizes = {"num_workers": 1, "num_envs_per_worker": 4, "batch_size": 128, "stats_avg": 1}
    steps = {"train_for_env_steps": 600, "save_every_steps": 256}
    paste(rewarded, smaller(blocks(3)[0], **sizes, **steps))
    return rewarded


@pytest.mark.parametrize(("name", "pairs"), [("shipped", 50_000), ("motif_dataset", PAIRS)])
def test_collect(collected, name, pairs):
    messages = np.load(collected / name / "data" / "message.npy", mmap_mode="r")
    assert messages.shape == (pairs, 2, 1, 256)


def test_annotate(labelled):
    labels = np.load(labelled / "motif_dataset/preference/rules_msg_defaultgoal.npy")
    assert len(labels) == PAIRS
    assert set(labels) == {0, 1, 2}


def test_annotate_as_the_paper_without_what_it_needs(labelled):
    if "vllm" in importlib.metadata.packages_distributions():
        pytest.skip("vllm is installed")
    said = paste(labelled, blocks(1)[1], status=2)
    assert said.splitlines()[-1].startswith("error: vllm cannot be imported")


def test_train_and_evaluate_the_reward(rewarded):
    assert list((rewarded / REWARD / "checkpoint_p0").glob("checkpoint_*.pth"))
    said = paste(rewarded, blocks(2)[1])
    assert re.search(r"held-out pairs +200\b", said)
    assert re.search(r"with a preference .* accuracy \d+\.\d%", said)


def test_train_the_agent(trained):
    steps = [
        int(path.stem.split("_")[2])
        for path in (trained / AGENT / "checkpoint_p0").glob("checkpoint_*.pth")
    ]
    assert max(steps) >= 600 and len(steps) > 1
    assert (trained / AGENT / "episodes.csv").read_text().startswith("env_steps,")


def test_the_wrapper_in_somebody_s_own_loop(rewarded):
    page = (ROOT / "docs" / "extending.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", page.split("## Another trainer")[1], re.S)
    snippet += "print('paid', info['intrinsic_reward'] + reward)"
    said = paste(rewarded, f"python - <<'END'\n{snippet}\nEND")  # and what packages have to say
    assert np.isfinite(float(re.search(r"^paid (\S+)$", said, re.M)[1]))


def test_watch_it_and_read_about_it(trained):
    watch, report, evaluate = blocks(4)[0].splitlines()
    said = paste(trained, f"{watch} --num_episodes 1 --seed 1")
    assert "\x1b[" in said  # colours
    paste(trained, smaller(report, play=1) + " --policies 2")
    page = (trained / AGENT / "report.html").read_text()
    assert "standard_motif" in page
    said = paste(trained, f"{evaluate} --games 2")
    assert f"random minus {AGENT}" in said and f"explorer minus {AGENT}" in said


def test_every_command_that_is_named_is_there():
    named = set(re.findall(r"\bscripts\.(\w+)", README))
    assert len(named) > 8
    assert named <= {path.stem for path in (ROOT / "scripts").glob("*.py")}

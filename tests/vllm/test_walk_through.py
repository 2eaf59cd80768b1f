"""The shell commands of the README's stage 1, and of annotation.md's tiny model, as they stand."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("motif", "sample_factory_ext", "scripts")
PORT = 8000  # in annotation.md


def blocks(page: str, heading: str) -> list[str]:
    """The fenced shell commands of a section."""
    section = (ROOT / page).read_text().split(f"# {heading}\n")[1]
    return re.findall(
        r"^```bash\n(.*?)^```$", re.split(r"^##", section, flags=re.M)[0], re.M | re.S
    )


def run_shell(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run what a reader pastes, up to the first command that fails; nothing is left running."""
    process = subprocess.Popen(
        ["bash", "-ec", commands],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=900)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(commands, process.returncode, output)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A working folder that looks like the repository after `make test-vllm`."""
    for name in (*PACKAGES, ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv-vllm").symlink_to(sys.prefix)
    return tmp_path


def port_in_use() -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", PORT)) == 0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_the_tiny_model_on_both_backends(checkout: Path, tiny_model: Path) -> None:
    commands = "".join(blocks("docs/annotation.md", "Try it without a GPU"))
    # What the fixture has done already, for all tests.
    training = "PYTHONPATH=. python tests/vllm/tiny_chat_model.py --output runs/tiny\n"
    assert training in commands
    commands = commands.replace(training, "")
    (checkout / "runs").mkdir()
    (checkout / "runs/tiny").symlink_to(tiny_model)
    if port_in_use():
        commands = commands.replace(str(PORT), str(free_port()))
    result = run_shell(commands, checkout)
    assert result.returncode == 0, result.stdout[-5000:]

    def labels(name: str) -> np.ndarray[Any, Any]:
        return np.load(checkout / f"runs/tiny_dataset/preference/{name}.npy")

    name = "tiny_msg_defaultgoal_default"
    reasoned, direct = labels(name), labels(f"{name}_direct")
    assert len(reasoned) == len(direct) == 300
    assert np.array_equal(labels("tiny_http_direct"), direct)
    same = (labels("tiny_http") == reasoned).mean()
    print(f"with reasoning, {same:.1%} of the labels are the same on both backends")
    assert same >= 0.9  # not all: the temperature is 0.1
    assert (reasoned != Preference.UNKNOWN).mean() >= 0.9
    assert list((checkout / "train_dir/reward_saving_dir/tiny").glob("checkpoint*"))


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (".venv", "vllm cannot be imported"),
        (".venv-vllm", "--num-gpus 8, but this vLLM runs on the CPU; use --num-gpus 1"),
    ],
)
def test_the_first_stage_of_the_readme(
    checkout: Path,
    make_pairs: Callable[..., PairsDataset],
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    problem: str,
) -> None:
    monkeypatch.setenv("PATH", str(checkout / environment / "bin"), prepend=":")
    rules, paper = blocks("README.md", "1. Annotate")
    pairs = make_pairs(100)
    assert run_shell(rules, checkout).returncode == 0
    found = np.load(pairs.directory / "preference/rules_msg_defaultgoal.npy")
    assert set(found) == {Preference.FIRST, Preference.SECOND, Preference.TIE}
    result = run_shell(paper, checkout)
    assert result.returncode == 2
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith(f"error: {problem}")
    assert "what works without it: a server (--backend openai" in last

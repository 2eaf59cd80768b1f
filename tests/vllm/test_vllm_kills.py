"""Real vLLM, runs killed at random: the labels are those of a run that was not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference

MakePairs = Callable[..., PairsDataset]
DIRECT = ("--answer-mode", "direct")
NAME = "tiny_msg_defaultgoal_default_direct"
KILLS = int(os.environ.get("MOTIF_VLLM_KILLS", "3"))  # of vLLM itself, which is slow to start


def command(pairs: PairsDataset, line: Sequence[str]) -> list[str]:
    """The command line of stage 1, in a process of its own."""
    return [
        *(sys.executable, "-m", "scripts.annotate_pairs_dataset", *DIRECT, *line),
        *("--directory", str(pairs.directory)),
    ]


def labelled(pairs: PairsDataset) -> int:
    """Pairs that have a label so far."""
    part = pairs.directory / f"preference/{NAME}.parts/chunk-0-of-1.npy"
    return int((np.load(part) != Preference.UNKNOWN).sum()) if part.is_file() else 0


def kill_after(pairs: PairsDataset, line: Sequence[str], enough: int) -> int:
    """Start the command, kill -9 it once ``enough`` pairs are labelled; how many there are then."""
    log = pairs.directory / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(command(pairs, line), stdout=out, stderr=out)
    while labelled(pairs) < enough:
        assert process.poll() is None, log.read_text()[-2000:]
        time.sleep(0.01)
    engines = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(engines, timeout=60)
    assert not alive  # no engine is left that would hold the GPU
    return labelled(pairs)


def labels_and_probabilities(pairs: PairsDataset) -> tuple[np.ndarray[Any, Any], ...]:
    folder = pairs.directory / "preference"
    return np.load(folder / f"{NAME}.npy"), np.load(folder / f"{NAME}.probs.npy")


def check(make_pairs: MakePairs, line: Sequence[str], *, pairs: int, kills: int) -> None:
    """A run killed ``kills`` times, each time further on, ends as one that was not killed."""
    whole, killed = (make_pairs(pairs, name=name, seed=3) for name in ("whole", "killed"))
    subprocess.run(command(whole, line), check=True, capture_output=True, timeout=900)
    targets = np.sort(np.random.default_rng(0).choice(int(0.8 * pairs), kills, replace=False))
    reached = [kill_after(killed, line, max(int(target), 1)) for target in targets]
    assert reached == sorted(reached)
    assert reached[-1] < pairs
    print(f"killed with so many of {pairs} labelled: {reached}")
    subprocess.run(command(killed, line), check=True, capture_output=True, timeout=900)
    (labels, probabilities), (expected, near) = map(labels_and_probabilities, (killed, whole))
    assert (labels != Preference.UNKNOWN).mean() > 0.9
    assert np.array_equal(labels, expected)
    assert probabilities == pytest.approx(near, abs=1e-4, nan_ok=True)


def test_the_client_of_a_server_killed_ten_times(make_pairs: MakePairs, server: Any) -> None:
    server.wait()
    line = ["--backend", "openai", "--model", "tiny", "--base-url", server.url]
    check(make_pairs, [*line, "--num-workers", "8"], pairs=1000, kills=10)


def test_vllm_in_the_killed_process(
    make_pairs: MakePairs, tiny_model: Path, in_process: list[str]
) -> None:
    check(make_pairs, [*in_process, "--batch-size", "32"], pairs=100 * KILLS, kills=KILLS)

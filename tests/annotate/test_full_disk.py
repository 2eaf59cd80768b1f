"""Disks that take no more: the kernel refuses to write, in a process of its own."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_server import FakeServer
from scripted_chat import MANY_TEXTS

from motif.annotate import cache as answers
from motif.annotate.cache import AnswerCache, answer_key
from motif.pairs_dataset import PairsDataset

MakeDataset = Callable[..., PairsDataset]
PART = "preference/tiny_msg_defaultgoal_default.parts/chunk-0-of-1.npy"
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


def annotate(
    pairs: PairsDataset, server: FakeServer, before: Callable[[], object] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command in a process in which ``before`` was called."""
    line = [sys.executable, "-m", "scripts.annotate_pairs_dataset", "--backend", "openai"]
    line += ["--directory", str(pairs.directory), "--base-url", server.url]
    line += ["--model", "tiny", "--num-workers", "4"]
    return subprocess.run(line, capture_output=True, text=True, preexec_fn=before, timeout=120)


def files_of_at_most(size: int) -> Callable[[], None]:
    """What a full disk does to writes, for this process alone."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def without_privilege() -> None:
    """Not even root may write to a read-only folder; others never could."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)


@pytest.mark.slow
def test_a_full_disk_keeps_the_labels(make_dataset: MakeDataset, server: FakeServer) -> None:
    pairs = make_dataset(600, texts=MANY_TEXTS)
    result = annotate(pairs, server, files_of_at_most(40_000))
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: File too large; labels so far are kept: make room, then")
    assert str(pairs.directory / "preference/answers") in last
    assert 100 < (np.load(pairs.directory / PART) != 3).sum() < 600
    assert annotate(pairs, server).returncode == 0


@pytest.mark.parametrize("size", [500, 2000])
def test_no_room_for_the_labels_themselves(
    make_dataset: MakeDataset, server: FakeServer, size: int
) -> None:
    pairs = make_dataset(5000)
    result = annotate(pairs, server, files_of_at_most(size))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: File too large")
    assert not (pairs.directory / PART).exists()


@pytest.mark.parametrize("place", ["preference", "preference/answers"])
def test_a_read_only_folder(make_dataset: MakeDataset, server: FakeServer, place: str) -> None:
    pairs = make_dataset(60)
    folder = pairs.directory / place
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    result = annotate(pairs, server, without_privilege)
    folder.chmod(0o755)
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: Permission denied")
    assert str(folder) in last


def test_no_room_for_the_index(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache._index.execute("PRAGMA max_page_count = 2")
    with pytest.raises(OSError, match=r"no room for temporary files .* start the same command"):
        for number in range(1000):
            cache.put(answer_key(str(number)), number)
    assert answers.GO_ON.startswith("labels so far are kept")

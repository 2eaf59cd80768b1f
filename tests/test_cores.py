"""Cores that a container's quota leaves, and the threads' settings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from motif import cores as module
from motif.cores import SPINS, cores, settle_threads


@pytest.fixture
def allowed(monkeypatch):
    monkeypatch.setattr(module, "_allowed", lambda: 64)


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        ("max 100000", 64),
        ("200000 100000", 2),
        ("50000 100000", 1),  # half a core
        ("9900000 100000", 64),
        ("garbage", 64),
    ],
)
def test_a_quota_takes_cores_away(quota, count, allowed, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "QUOTA", tmp_path / "cpu.max")
    assert cores() == 64  # there is no such file
    module.QUOTA.write_text(quota)
    assert cores() == count


def test_threads_wait_briefly_and_are_as_many_as_the_quota(allowed, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "QUOTA", tmp_path / "cpu.max")
    environment: dict[str, str] = {}
    settle_threads(environment)
    assert environment == {"GOMP_SPINCOUNT": SPINS}
    module.QUOTA.write_text("200000 100000")
    settle_threads(environment)
    assert environment == {"GOMP_SPINCOUNT": SPINS, "OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize(
    "chosen",
    [
        {"GOMP_SPINCOUNT": "7", "OMP_NUM_THREADS": "5"},
        {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "5"},
    ],
)
def test_what_the_user_set_stays(chosen, allowed, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "QUOTA", tmp_path / "cpu.max")
    module.QUOTA.write_text("200000 100000")
    environment = dict(chosen)
    settle_threads(environment)
    assert environment == chosen


def test_every_command_settles_them_before_torch():
    code = "import scripts, os, sys; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    clean = {name: value for name, value in os.environ.items() if "OMP_" not in name}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True)
    assert done.stdout.split() == [SPINS, "False"]

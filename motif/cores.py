"""How many cores this process may use, and how its threads share them with others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import MutableMapping
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container, as "microseconds period" or "max period"
SPINS = "1000"  # looks at a barrier before a thread sleeps, some microseconds; GNU's own: 300,000


def settle_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make torch's threads good neighbours; to be called before torch is imported.

    A thread that waits for its fellows keeps its core for milliseconds otherwise, and where other
    processes want the cores the fellows never come; benchmarks/RESULTS.md has both speeds. OpenMP
    does not know of a container's quota either. What the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS)
    if cores() < _allowed():
        environment.setdefault("OMP_NUM_THREADS", str(cores()))


def _allowed() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")  # Linux
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def cores() -> int:
    """The machine's, less those that an affinity or a container's quota takes away; 1 or more."""
    count = _allowed()
    with contextlib.suppress(OSError, ValueError):
        quota, period = QUOTA.read_text().split()
        count = min(count, max(int(quota) // int(period), 1))
    return count

"""No child outlives the process that it works for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from motif.processes import guarded

PARENT = """
import contextlib, os, subprocess, sys, time
from motif.processes import guarded
end = contextlib.ExitStack()
watcher = end.enter_context(guarded())
idle = [sys.executable, "-c", "import time; time.sleep(600)"]
child, tidy = subprocess.Popen(idle), subprocess.Popen([*idle, "resource" + "_tracker"])
forked = os.fork()
if forked == 0:
    time.sleep(600)
print(watcher.pid, child.pid, forked, tidy.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(seconds: float) -> tuple[subprocess.Popen[str], list[int]]:
    """A parent, and the numbers of its watcher and children; the last cleans up by itself."""
    command = [sys.executable, "-c", PARENT, str(seconds)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, [int(number) for number in parent.stdout.readline().split()]


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 30
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, f"still there: {[*filter(is_running, pids)]}"
        time.sleep(0.05)


def test_a_killed_process_leaves_nothing_behind() -> None:
    parent, (watcher, child, forked, tidy) = start(600)
    try:
        while os.getpgid(watcher) == os.getpgid(parent.pid):  # until it is on its own
            time.sleep(0.05)
        time.sleep(2)  # it looks five times a second
        assert is_running(child) and is_running(forked)
        os.kill(watcher, signal.SIGTERM)  # as Slurm does
        parent.kill()
        parent.wait()
        wait_until_gone(watcher, child, forked)
        assert is_running(tidy)
    finally:
        os.kill(tidy, signal.SIGKILL)


def test_the_watcher_goes_with_a_process_that_ends() -> None:
    parent, (watcher, *children) = start(0)
    assert parent.wait() == 0
    wait_until_gone(watcher)
    for child in filter(is_running, children):  # ended before the first look
        os.kill(child, signal.SIGKILL)


def test_the_watcher_goes_with_the_need_for_it() -> None:
    with guarded() as watcher:
        assert watcher is not None and watcher.poll() is None
    assert watcher.returncode == -signal.SIGKILL


def test_without_such_a_kernel_nobody_watches(monkeypatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with guarded() as watcher:
        assert watcher is None

"""No engine outlives the process that it works for."""

from __future__ import annotations

import os
import subprocess
import sys
import time

PARENT = """
import subprocess, sys, time
from motif.annotate.engine_guard import guard
watcher = guard()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(watcher.pid, child.pid, flush=True)
time.sleep(float(sys.argv[1]))
"""


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(seconds: float) -> tuple[subprocess.Popen[str], int, int]:
    command = [sys.executable, "-c", PARENT, str(seconds)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    watcher, child = map(int, parent.stdout.readline().split())
    return parent, watcher, child


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 30
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, f"still there: {[*filter(is_running, pids)]}"
        time.sleep(0.05)


def test_a_killed_process_leaves_nothing_behind() -> None:
    parent, watcher, child = start(600)
    while os.getpgid(watcher) == os.getpgid(parent.pid):  # until it is on its own
        time.sleep(0.05)
    time.sleep(2)  # it looks every half second
    assert is_running(child)
    parent.kill()
    parent.wait()
    wait_until_gone(watcher, child)


def test_the_watcher_goes_with_a_process_that_ends() -> None:
    parent, watcher, child = start(0)
    assert parent.wait() == 0
    wait_until_gone(watcher)
    if is_running(child):  # ended before the first look
        os.kill(child, 9)

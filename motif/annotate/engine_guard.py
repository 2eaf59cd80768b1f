"""After a kill -9 no engine stays behind and holds the GPU.

vLLM's engine is a process of its own that does not notice when the one it works for is killed. So
:func:`guard` starts a small process that does notice, and kills what is left. Linux only; elsewhere
nothing is guarded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PERIOD = 0.5  # seconds between looks


def guard() -> subprocess.Popen[bytes] | None:
    """Watch over this process, from now on, and kill its children once it is gone."""
    if not hasattr(os, "pidfd_open"):
        return None
    return subprocess.Popen(
        [sys.executable, __file__, str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is not meant for it
    )


def watch(parent: int) -> None:
    """Remember the children of ``parent`` while it lives, then kill them."""
    known: dict[int, int] = {os.getpid(): -1}  # by number; a descriptor outlives its reuse
    while os.getppid() == parent:
        for child in _children(parent):
            if child not in known:
                with contextlib.suppress(OSError):
                    known[child] = os.pidfd_open(child)
        time.sleep(PERIOD)
    for descriptor in known.values():
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    children: list[int] = []
    for path in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, path.read_text().split())
    return children


if __name__ == "__main__":
    watch(int(sys.argv[1]))

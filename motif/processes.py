"""No process outlives the one that it works for, not even after a kill -9.

One way for all: :func:`guarded` starts a small process that watches this one, remembers its
children, and kills what is left of them when it is gone. The children need not help: vLLM's engine
runs no code of ours, and a worker may be killed while it still imports. (A signal that the kernel
sends at the parent's death, or a look at the parent's number, must be set up by the child; and that
signal already comes when the thread ends that started it.) A child younger than ``PERIOD`` may be
missed. Linux only; elsewhere nothing is guarded.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PERIOD = 0.2  # seconds between looks
TIDY = (b"resource_tracker", b"torch_shm_manager", b"wandb-core")  # these end when all else did


@contextlib.contextmanager
def guarded() -> Iterator[subprocess.Popen[bytes] | None]:
    """Within, the children of this process end with it; yields the process that sees to it."""
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    # Isolated: the modules beside this file are not on the path, for one is called types.
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(  # in a session of its own: Ctrl-C is not meant for it
        command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    ) as watcher:
        try:
            yield watcher
        finally:
            watcher.kill()


def watch(parent: int) -> None:
    """Remember the children of ``parent`` while it lives, then kill them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Slurm's, to every process of a job
    known = {os.getpid(): -1}  # by number; a descriptor outlives the number's reuse
    end = select.poll()
    end.register(os.pidfd_open(parent), select.POLLIN)
    while os.getppid() == parent:
        for child in _children(parent):
            if child not in known:
                with contextlib.suppress(OSError):
                    known[child] = os.pidfd_open(child)
        end.poll(PERIOD * 1000)
    for child, descriptor in known.items():
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if descriptor >= 0 and not any(name in command for name in TIDY):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    children: list[int] = []
    for path in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, path.read_text().split())
    return children


if __name__ == "__main__":
    watch(int(sys.argv[1]))

"""The processes of a run end together, whichever goes first."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import torch

from motif.cli import EXIT_ERROR
from motif.processes import guarded

WATCH_SECONDS = 1.0


@contextlib.contextmanager
def parent_of_workers(run_folder: Path) -> Iterator[None]:
    """The processes that are started within end with this one, and it ends if one of them fails.

    Sample Factory would wait for ever for a learner that could not write its checkpoint.
    """
    over = threading.Event()
    arguments = over, run_folder
    threading.Thread(target=_watch, args=arguments, name="worker-watch", daemon=True).start()
    try:
        with guarded():
            yield
    finally:
        over.set()


def start_shared_memory() -> None:
    """Start torch's manager of shared tensors while no signal can interrupt this thread.

    A signal in the middle has left torch 2.13 spinning in its ``start_manager`` for ever.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        # As Sample Factory does.
        torch.multiprocessing.set_sharing_strategy("file_system")  # type: ignore[no-untyped-call]
        torch.empty(1).share_memory_()  # type: ignore[no-untyped-call]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(over: threading.Event, run_folder: Path) -> None:
    workers = set()
    while not over.wait(WATCH_SECONDS):
        workers |= set(multiprocessing.active_children())
        for worker in workers:
            if worker.exitcode not in (None, 0):
                print(
                    f"\nerror: a process of the run ended with status {worker.exitcode} "
                    f"({worker.name}); why is said above or in {run_folder / 'sf_log.txt'}. The "
                    "same command goes on from the last checkpoint",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(EXIT_ERROR)  # the guard ends the others


def leave_stopping_to_the_parent() -> None:
    """A worker does not end at SIGTERM, which Slurm sends to every process of a job."""
    # A daemon's parent ends it by this signal: leave it.
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and not multiprocessing.current_process().daemon:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

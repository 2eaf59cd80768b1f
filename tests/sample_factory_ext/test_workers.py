"""No process of a run outlives the others."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from sample_factory_ext import workers

ROOT = Path(__file__).resolve().parents[2]

PARENT = """
import importlib, multiprocessing, os, time

class ImportsWhenRead:  # as Sample Factory's processes import it, with the factories they are sent
    def __reduce__(self):
        return importlib.import_module, ("sample_factory_ext",)

def work(ready, _):
    import sample_factory_ext
    ready.put(os.getpid())
    time.sleep(600)

if __name__ == "__main__":
    import pathlib
    from sample_factory_ext.workers import parent_of_workers

    context = multiprocessing.get_context("spawn")
    ready = context.Queue()
    with parent_of_workers(pathlib.Path()):
        for sent in (ImportsWhenRead(), None):
            context.Process(target=work, args=(ready, sent)).start()
        print(ready.get(), ready.get(), flush=True)
        time.sleep(600)
"""


KILLED_AT_ONCE = """
import multiprocessing, os, signal, time

def work(_):
    import sample_factory_ext
    time.sleep(600)

class ImportsSlowly:  # read in the child, before its work begins
    def __reduce__(self):
        return eval, ("__import__('time').sleep(2) or __import__('sample_factory_ext') and None",)

if __name__ == "__main__":
    import pathlib
    from sample_factory_ext.workers import parent_of_workers

    with parent_of_workers(pathlib.Path()):
        worker = multiprocessing.get_context("spawn").Process(target=work, args=(ImportsSlowly(),))
        worker.start()
        print(worker.pid, flush=True)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_worker_whose_parent_dies_while_it_imports_ends_too(tmp_path):
    (tmp_path / "parent.py").write_text(KILLED_AT_ONCE)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    worker = psutil.Process(int(parent.stdout.readline()))
    try:
        parent.communicate()
        assert parent.returncode == -signal.SIGKILL
        _, alive = psutil.wait_procs([worker], timeout=60)
        assert not alive
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


FAILING_WORKER = """
import multiprocessing, pathlib, sys, time
from sample_factory_ext.workers import parent_of_workers

def work(status):
    time.sleep(3)
    sys.exit(status)

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    with parent_of_workers(pathlib.Path("run")):
        for status in (0, 3):  # one that is done is no failure
            context.Process(target=work, args=(status,), name=f"worker-{status}").start()
        time.sleep(600)
"""


def run_parent(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run ``program``, the parent of workers, to its end."""
    (folder / "parent.py").write_text(program)
    return subprocess.run(
        [sys.executable, str(folder / "parent.py")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )


@pytest.mark.slow
def test_a_run_ends_when_a_worker_fails(tmp_path):
    """A learner that cannot write its checkpoint, say, for which the others would wait."""
    done = run_parent(tmp_path, FAILING_WORKER)
    assert done.returncode == 2
    assert re.search(r"ended with status 3 \(worker-3\); .*run/sf_log\.txt\. The", done.stderr)


FAILING_LOOP = """
import multiprocessing, pathlib, threading, time
import sample_factory_ext
from sample_factory_ext.workers import parent_of_workers
from signal_slot.signal_slot import EventLoopObject, EventLoopProcess, Timer

class Learner(EventLoopObject):
    def save(self):
        threading.Thread(target=time.sleep, args=(600,)).start()  # not a daemon
        raise OSError(28, "No space left on device")

if __name__ == "__main__":
    process = EventLoopProcess("learner", multiprocessing.get_context("spawn"))
    learner = Learner(process.event_loop, "of the learner")
    Timer(process.event_loop, 3.0, single_shot=True).timeout.connect(learner.save)
    with parent_of_workers(pathlib.Path("run")):
        process.start()
        time.sleep(600)
"""


@pytest.mark.slow
def test_a_loop_that_fails_ends_its_process_and_the_run(tmp_path):
    done = run_parent(tmp_path, FAILING_LOOP)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert re.search(r"ended with status 1 \(learner.*\); ", done.stderr)


def test_no_signal_interrupts_the_start_of_shared_memory(monkeypatch):
    held = []
    mask = functools.partial(signal.pthread_sigmask, signal.SIG_BLOCK, ())
    monkeypatch.setattr(torch.Tensor, "share_memory_", lambda tensor: held.append(mask()))
    before = mask()
    workers.start_shared_memory()
    assert held[0] >= {signal.SIGINT, signal.SIGTERM}
    assert mask() == before


def test_a_worker_outlives_sigterm_but_not_its_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    workers = []
    try:
        workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        for worker in workers:
            assert worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE
        parent.kill()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive
    finally:
        for process in (*workers, parent):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        parent.wait()
        parent.stdout.close()

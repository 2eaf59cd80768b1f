"""The labeller's own process: it begins before the run, and ends with it, however that ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from motif.cli import explain
from motif.data_files import read_json
from motif.errors import DamagedFileError, MotifError
from motif.online.labeller import STATUS, Labeller
from motif.online.labels import write_dataset
from motif.online.settings import OnlineSettings
from motif.processes import guarded

IDLE = 0.5  # seconds between looks, where there is nothing to do
NICE = 10  # of a language model on the same cores: games and the learner go first
LAST_SECONDS = 30.0  # for an answer under way, as the run ends


@contextlib.contextmanager
def labelling(settings: OnlineSettings) -> Iterator[None]:
    """Within, labels are made. Afterwards they are a dataset, ``online/dataset``.

    Raises:
        MotifError: the labeller can't begin; why.
    """
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_work, args=(settings, theirs), name="labeller")
    with guarded():
        process.start()
        theirs.close()
        try:
            if problem := _first_word(ours):
                raise MotifError(problem)
            yield
        finally:
            ours.close()
            process.join(LAST_SECONDS)
            if process.is_alive():  # waits for an answer; all but that is on disk
                process.kill()
                process.join()
    where = write_dataset(settings.folder, settings.annotation.annotator)
    if where is not None:
        print(f"labels made while training: {where}")


def _first_word(pipe: Connection) -> str:
    """What is wrong; nothing once the labeller is ready."""
    try:
        return str(pipe.recv())
    except EOFError:
        return "the labeller ended as it began; why is said above"


def read_figures(folder: Path) -> dict[str, float]:
    """What the labeller last wrote of itself into ``online``; nothing before it did."""
    try:
        return read_json(folder / STATUS)
    except (FileNotFoundError, DamagedFileError):
        return {}


def _work(settings: OnlineSettings, pipe: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # the run's end is that of the pipe
        signal.signal(number, signal.SIG_IGN)
    if settings.annotation.backend == "llamacpp":
        os.nice(NICE)
    torch.set_num_threads(1)
    with guarded():
        try:
            labeller = Labeller(settings)
            labeller.open()
        except (MotifError, OSError) as error:
            pipe.send(explain(error) if isinstance(error, OSError) else str(error))
            return
        pipe.send("")
        with contextlib.closing(labeller):
            while not pipe.poll(0 if labeller.step() else IDLE):
                pass

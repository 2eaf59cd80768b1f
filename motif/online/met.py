"""From the environments to the labeller: which messages were met, and how often.

Each process of a run counts what its environments meet, and now and then leaves the counts in a
file of its own in ``online/met``, whole or not there. The labeller takes the files in and removes
them; neither waits for the other, and what neither has room for is forgotten: it comes again.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motif.atomic_write import atomic_write
from motif.data_files import read_array
from motif.errors import DamagedFileError
from motif.messages import MESSAGE_LENGTH

FOLDER = "met"
RECORD = np.dtype([("message", f"S{MESSAGE_LENGTH}"), ("count", "<i8")])
EVERY = 512  # observations of a process between two files
MOST_MESSAGES = 20_000  # distinct ones that a process counts while it can't hand them on
MOST_FILES = 1024  # that wait, of all processes; more are not written


class MetMessages:
    """Counts for the environments of a process.

    Args:
        folder: ``online`` of the run.
    """

    def __init__(self, folder: Path, every: int = EVERY) -> None:
        self.folder, self._every = folder / FOLDER, every
        self._counts: dict[bytes, int] = {}
        self._steps = 0
        self._told = False

    def count(self, message: bytes) -> None:
        """An environment met ``message``, of 256 bytes."""
        self._counts[message] = self._counts.get(message, 0) + 1
        self._steps += 1
        if self._steps >= self._every:
            self._steps = 0
            self._hand_on()

    def _hand_on(self) -> None:
        """Leave the counts as a file; on a full disk they wait, as many as there may be."""
        content = np.array(list(self._counts.items()), dtype=RECORD)
        path = self.folder / f"{time.time_ns():020d}-{os.getpid()}.npy"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if len(os.listdir(self.folder)) < MOST_FILES:
                with atomic_write(path, sync=False) as temporary:
                    temporary.write_bytes(_as_npy(content))
                self._counts = {}
        except OSError as error:
            if not self._told:
                print(f"\nnote: {path} can't be written ({error.strerror})", file=sys.stderr)
            self._told = True
        if len(self._counts) > MOST_MESSAGES:
            self._counts = {}


def _as_npy(array: NDArray[np.void]) -> bytes:
    content = io.BytesIO()  # numpy writes past Python's file, and on a full disk says nothing
    np.save(content, array)
    return content.getvalue()


def waiting_files(folder: Path, taken: Collection[str]) -> Iterator[tuple[Path, NDArray[np.void]]]:
    """The files that wait in ``online`` but for those ``taken``, and their records, oldest first.

    Damaged ones are removed.
    """
    for path in sorted((folder / FOLDER).glob("[0-9]*.npy")):
        if path.name in taken:
            continue
        try:
            found = read_array(path)
        except DamagedFileError:
            found = np.empty(0)
        if found.dtype == RECORD and found.ndim == 1:
            yield path, found
        else:
            path.unlink()


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files that were taken in, as far as they are still there."""
    for name in names:
        (folder / FOLDER / name).unlink(missing_ok=True)

"""One writer at a time. The kernel holds the locks, so that none outlives its process."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from motif.errors import MotifError


def lock_or_refuse(descriptor: int, path: Path, refusal: MotifError) -> None:
    """Take the lock of an open file or folder without waiting.

    Where the disk knows no locks, a warning says that nobody watches.

    Raises:
        MotifError: ``refusal``, if another process holds it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise refusal from None
        warnings.warn(f"no file locks on the disk of {path} ({error}): run it once", stacklevel=3)


@contextlib.contextmanager
def only_run(folder: Path, refusal: MotifError) -> Iterator[None]:
    """Make ``folder`` if need be, and hold it against a second run.

    Raises:
        MotifError: ``refusal``, if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock_or_refuse(descriptor, folder, refusal)
        yield
    finally:
        os.close(descriptor)

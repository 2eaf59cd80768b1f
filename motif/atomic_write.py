"""Files that are either whole or not there: write to a temporary name, then rename."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motif.types import AnyArray


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it.

    On any exception the temporary file is removed and ``path`` is left as it was; an OSError that
    names no file, as that of a full disk, gets its name. The temporary file's name depends
    on ``path`` alone, so that what a killed process leaves goes with the next write. Two writers of
    one file need a lock (``motif.file_lock``).

    Args:
        sync: whether it must also survive a power cut, for which the disk is waited for.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """Where :func:`atomic_write` builds ``path``."""
    return path.with_name(f".{path.name}.tmp")


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write ``content`` as indented JSON, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_array(path: str | os.PathLike[str], array: AnyArray) -> None:
    """Write ``array`` as .npy, atomically.

    In Python's own way: given a file, numpy writes past it, and on a full disk leaves a small array
    cut short without a word.

    Raises:
        OSError: the disk is full, or takes nothing.
    """
    content = io.BytesIO()
    np.save(content, array)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getbuffer())

"""Arrays and JSON that anybody may have written: read as plain data, or refused by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from motif.errors import DamagedFileError
from motif.types import AnyArray

BLOCK = 1 << 20  # bytes in memory at a time


def read_array(path: Path, mmap_mode: Literal["r", "r+"] | None = None) -> AnyArray:
    """The array of a ``.npy`` file; objects in it are never unpickled.

    Raises:
        DamagedFileError: it is truncated, no ``.npy`` file, or holds Python objects.
        FileNotFoundError: it isn't there.
    """
    try:
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:  # numpy evaluates a header of Python code: any kind may come out
        raise _damaged(path, error) from None
    if not isinstance(array, np.ndarray):
        array.close()  # an archive of arrays
        raise DamagedFileError(f"{path} cannot be read (it is an archive, not one array)")
    return array


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        DamagedFileError: it is no JSON, or no object.
        FileNotFoundError: it isn't there.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        raise _damaged(path, error) from None
    if not isinstance(content, dict):
        raise DamagedFileError(f"{path} cannot be read (it is not a JSON object)")
    return content


def sha256(path: Path) -> str:
    """The checksum of a file of any size, as ``sha256sum`` prints it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _damaged(path: Path, error: Exception) -> DamagedFileError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DamagedFileError(f"{path} cannot be read ({reason})")

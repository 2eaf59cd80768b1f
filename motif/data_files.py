"""Arrays and JSON that anybody may have written: read as plain data, or refused by name.

What a reader refuses it raises as ``error``: the file, what is wrong with it, then ``way_out``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from motif.errors import DamagedFileError, MotifError, reason
from motif.types import AnyArray

BLOCK = 1 << 20  # bytes in memory at a time


def read_array(
    path: Path,
    mmap_mode: Literal["r", "r+"] | None = None,
    *,
    error: type[MotifError] = DamagedFileError,
    way_out: str = "",
) -> AnyArray:
    """The array of a ``.npy`` file, if it is there; objects in it are never unpickled."""
    try:
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
        if isinstance(array, np.ndarray):
            return array
        array.close()
        why = "it is an archive, not one array"
    except FileNotFoundError:
        raise
    except Exception as refused:  # numpy evaluates a header of Python code: any kind may come out
        why = reason(refused)
    raise error(f"{path} cannot be read ({why}){way_out and '; '}{way_out}")


def read_json(
    path: Path, *, error: type[MotifError] = DamagedFileError, way_out: str = ""
) -> dict[str, Any]:
    """The JSON object in ``path``, if it is there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
        why = "it is not a JSON object"
    except FileNotFoundError:
        raise
    except (ValueError, OSError, RecursionError) as refused:
        why = reason(refused)
    raise error(f"{path} cannot be read ({why}){way_out and '; '}{way_out}")


def sha256(path: Path) -> str:
    """The checksum of a file of any size, as ``sha256sum`` prints it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()

"""Files of ``torch.save``: plain data, and every byte as it was written."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from motif.atomic_write import atomic_write
from motif.errors import DamagedFileError, MotifError, reason

_ARCHIVE = b"PK\x03\x04"


def write_torch_file(path: Path, content: Any) -> None:
    """Save ``content`` whole, flushed to disk, or leave ``path`` as it was."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # It ends the archive in any case, and its complaint about that hides what came first:
            # a full disk, a signal.
            raise error.__context__ or error from None


def read_torch_file(
    path: Path,
    device: str | torch.device = "cpu",
    *,
    error: type[MotifError] = DamagedFileError,
    way_out: str = "",
) -> dict[str, Any]:
    """A dict of tensors and plain values, on ``device``; no other object is ever unpickled.

    The file is an archive with a checksum for each part, at which ``torch.load`` does not look:
    to it a flipped bit is another weight. (Before torch 1.6 there were none to look at.)

    Raises:
        error: a byte is wrong or missing, or the file holds something else; ends with ``way_out``.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
        wrong = None
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                wrong = archive.testzip()
        content = None if wrong else torch.load(path, map_location=device, weights_only=True)
        if isinstance(content, dict):
            return content
        why = f"holds a {type(content).__name__}, not a checkpoint"
        if wrong:
            why = f"is damaged (checksum of its part {wrong})"
    except OSError:
        raise
    except Exception as refused:  # torch, pickle and zipfile raise nearly every kind for damage
        why = f"is damaged or holds more than tensors and plain values ({reason(refused)})"
    raise error(f"{path} {why}{way_out and '; '}{way_out}")

"""Files of ``torch.save``: plain data, and every byte as it was written."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from motif.atomic_write import atomic_write
from motif.errors import DamagedFileError

_ARCHIVE = b"PK\x03\x04"


def write_torch_file(path: Path, content: Any) -> None:
    """Save ``content`` whole, flushed to disk, or leave ``path`` as it was.

    Raises:
        OSError: the disk is full, say.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # It ends the archive in any case, and its complaint about that hides what came first:
            # a full disk, a signal.
            raise error.__context__ or error from None


def read_torch_file(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """A dict of tensors and plain values, on ``device``; no other object is ever unpickled.

    The file is an archive with a checksum for each part, at which ``torch.load`` does not look:
    to it a flipped bit is another weight. (Before torch 1.6 there were none to look at.)

    Raises:
        DamagedFileError: a byte is wrong or missing, or the file holds something else.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                wrong = archive.testzip()
            if wrong is not None:
                raise DamagedFileError(f"{path} is damaged (checksum of its part {wrong})")
        content = torch.load(path, map_location=device, weights_only=True)
    except (OSError, DamagedFileError):
        raise
    except Exception as error:  # torch, pickle and zipfile raise nearly every kind for damage
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedFileError(
            f"{path} is damaged or holds more than tensors and plain values ({reason})"
        ) from None
    if not isinstance(content, dict):
        raise DamagedFileError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    return content

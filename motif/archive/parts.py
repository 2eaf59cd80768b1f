"""A zip archive cut into parts that a repository can hold, and the sums that tell they are whole.

``motif_dataset_part_00``, ``…_01``, … joined in the order of their names are the archive;
``SHA256SUMS`` beside them has the format of the command ``sha256sum``.
"""

from __future__ import annotations

import bisect
import io
import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from motif.data_files import BLOCK, sha256
from motif.errors import ArchiveError
from motif.pairs_dataset import collect_command

DATASET = "motif_dataset"  # the folder that the archive unpacks into
PREFIX = f"{DATASET}_part_"
SUMS = "SHA256SUMS"


def part_name(number: int, parts: int) -> str:
    """The name of part ``number`` of ``parts``; a shell's ``*`` lists the names in order."""
    return f"{PREFIX}{number:0{max(2, len(str(parts - 1)))}}"


def cut(source: IO[bytes], folder: Path, size: int) -> list[Path]:
    """Cut what ``source`` holds from its start into parts of ``size`` bytes, with their sums."""
    parts = -(-source.seek(0, io.SEEK_END) // size)
    source.seek(0)
    paths = [folder / part_name(number, parts) for number in range(parts)]
    for path in paths:
        with path.open("wb") as part:
            left = size
            while left and (block := source.read(min(BLOCK, left))):
                part.write(block)
                left -= len(block)
    sums = [f"{sha256(path)}  {path.name}\n" for path in paths]
    (folder / SUMS).write_text("".join(sums))
    return paths


def checked_parts(folder: Path) -> list[Path]:
    """The parts in ``folder``, in order, each as its sum says.

    Without ``SHA256SUMS``, as with the original release, the parts are taken as they are, with a
    warning: the archive has sums of its own.

    Raises:
        ArchiveError: there is no archive, or parts are missing, damaged or too many; it names
            all of them.
    """
    present = sorted(folder.glob(f"{PREFIX}*"))
    if not (folder / SUMS).is_file():
        if not present:
            raise ArchiveError(
                f"no {PREFIX}* in {folder}; make a dataset of your own: {collect_command(DATASET)}"
            )
        warnings.warn(f"no {SUMS} in {folder}: the parts are taken as they are", stacklevel=3)
        return present
    sums = _read_sums(folder / SUMS)
    strangers = [path.name for path in present if path.name not in sums]
    wrong = [f"{name} is not in {SUMS}; move it away" for name in strangers]
    for name, digest in sums.items():
        path = folder / name
        restore = f"restore it: git checkout -- {path} (or download it again)"
        if not path.is_file():
            wrong.append(f"{name} is missing; {restore}")
        elif sha256(path) != digest:
            wrong.append(f"{name} is damaged ({path.stat().st_size:,} bytes); {restore}")
    if wrong:
        raise ArchiveError(f"the archive in {folder} is not whole:\n  " + "\n  ".join(wrong))
    return [folder / name for name in sums]


def _read_sums(path: Path) -> dict[str, str]:
    """Sum by name; names are plain, in order, with nothing left out."""
    lines = [line.split(None, 1) for line in path.read_text(errors="replace").splitlines()]
    sums = {line[1].lstrip("*"): line[0] for line in lines if len(line) == 2}
    names = [part_name(number, len(lines)) for number in range(len(lines))]
    if not lines or list(sums) != names:
        raise ArchiveError(
            f"{path} does not list the sums of {PREFIX}00 and so on; "
            f"restore it: git checkout -- {path} (or download it again)"
        )
    return sums


class JoinedParts(io.RawIOBase):
    """The parts as one seekable file for reading, without a copy on disk."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__()
        self._files = [path.open("rb") for path in paths]
        self._ends = list(itertools.accumulate(path.stat().st_size for path in paths))
        self._position = 0

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ends[-1]}
        self._position = max(0, origin[whence] + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = bisect.bisect_right(self._ends, self._position)
        if part == len(self._files):
            return 0
        start = self._ends[part - 1] if part else 0
        self._files[part].seek(self._position - start)
        count = self._files[part].readinto(buffer)  # type: ignore[attr-defined]
        self._position += count
        return int(count)

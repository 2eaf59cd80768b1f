"""Check the parts of a dataset's archive, and unpack them: the whole dataset or nothing."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from motif.archive.parts import DATASET, JoinedParts, checked_parts
from motif.cli import command, option
from motif.data_files import BLOCK
from motif.errors import ArchiveError
from motif.file_lock import only_run
from motif.pairs_dataset import PairsDataset, arrays_present

STAGING = f".{DATASET}.unpacking"


@dataclass(frozen=True)
class UnpackConfig:
    """Settings of the unpacking."""

    zipped: str = option("motif_dataset_zipped", "folder of the parts and their sums")
    directory: str = option(".", f"folder that {DATASET} is unpacked into")
    check: bool = option(False, "only check the parts, write nothing")

    @property
    def target(self) -> Path:
        """The dataset's folder."""
        return Path(self.directory) / DATASET


def check(config: UnpackConfig) -> int:
    """Check the sums and the list of members; how many bytes they unpack to.

    Raises:
        ArchiveError: a part is missing or damaged, or a member must not be unpacked.
    """
    with _open_archive(Path(config.zipped)) as archive:
        return sum(info.file_size for info in _members(archive))


def unpack(config: UnpackConfig) -> bool:
    """Unpack into ``config.target``, which appears when it is whole.

    Returns:
        Whether anything was done: not if the same dataset is there already.

    Raises:
        ArchiveError: as :func:`check`; something else is at the target; the disk is too small;
            another run is unpacking.
        DatasetError: what is at the target, or was unpacked, is no dataset.
    """
    staging = Path(config.directory) / STAGING
    busy = ArchiveError(f"another run is unpacking into {staging}; wait for it, or stop it")
    with _open_archive(Path(config.zipped)) as archive:
        members = _members(archive)
        if _is_there(config.target, archive, members):
            return False
        with only_run(staging, busy):
            shutil.rmtree(staging / DATASET, ignore_errors=True)  # of a run that was killed
            try:
                _check_space(staging, members)
                _extract(archive, members, staging)
                _check_dataset(staging / DATASET, archive)
                os.rename(staging / DATASET, config.target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return True


@contextlib.contextmanager
def _open_archive(folder: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, its parts checked; what is wrong inside it becomes an ArchiveError."""
    with JoinedParts(checked_parts(folder)) as joined:
        try:
            with zipfile.ZipFile(io.BufferedReader(joined, BLOCK)) as archive:
                yield archive
        except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's; bz2 has no error of its own
            raise ArchiveError(
                f"the parts in {folder} do not make a zip archive that can be read ({error}); "
                f"restore them: git checkout -- {folder} (or download them again)"
            ) from None


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of the archive, each a plain one with a place of its own inside the dataset."""
    files = [info for info in archive.infolist() if not info.is_dir()]
    for info in archive.infolist():
        path, kind = PurePosixPath(info.filename), stat.S_IFMT(info.external_attr >> 16)
        if path.parts[:1] != (DATASET,) or ".." in path.parts or "\\" in info.orig_filename:
            raise ArchiveError(f"refused: {info.filename!r} would be written outside of {DATASET}")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"refused: {info.filename!r} is a link or another special file")
        if info.flag_bits & 1:
            raise ArchiveError(f"refused: {info.filename!r} is encrypted")
    if len({PurePosixPath(info.filename) for info in files}) < len(files):
        raise ArchiveError("refused: two members have the same name")
    return files


def _fingerprint(archive: zipfile.ZipFile) -> str | None:
    """As scripts.pack_dataset noted it; archives made by other means have none."""
    found = re.search(r"fingerprint ([0-9a-f]{16})$", archive.comment.decode("latin-1"))
    return found[1] if found else None


def _is_there(target: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> bool:
    """Whether the archive's dataset is at ``target`` already; False if nothing is."""
    if not target.is_symlink() and (not target.exists() or _is_empty(target)):
        return False
    way_out = "move it away, or choose another --directory"
    if not (target / "data").is_dir() or PairsDataset(target).fingerprint != _fingerprint(archive):
        raise ArchiveError(f"{target} is there, and not known to be the archive's; {way_out}")
    for info in members:
        path = target.parent / info.filename
        is_array = path.parent.name != "preference"  # label sets may have been made anew
        if is_array and not (path.is_file() and path.stat().st_size == info.file_size):
            raise ArchiveError(f"{path} is missing or of another size; {way_out}")
    return True


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _check_space(staging: Path, members: list[zipfile.ZipInfo]) -> None:
    needed, free = sum(info.file_size for info in members), shutil.disk_usage(staging).free
    if needed > free:
        raise ArchiveError(
            f"the dataset needs {needed / 1e6:,.0f} MB, but the disk of {staging.parent} has "
            f"{free / 1e6:,.0f} MB left; choose another --directory"
        )


def _extract(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], staging: Path) -> None:
    total = sum(info.file_size for info in members)
    with tqdm(total=total, unit="B", unit_scale=True, desc="unpacking") as bar:
        for info in members:
            path = staging / info.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, path.open("wb") as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    bar.update(len(block))
                target.flush()
                os.fsync(target.fileno())


def _check_dataset(directory: Path, archive: zipfile.ZipFile) -> None:
    """Every array opens, and the content is what its maker packed."""
    fingerprint = PairsDataset(directory, arrays_present(directory)).fingerprint
    if fingerprint != (_fingerprint(archive) or fingerprint):
        raise ArchiveError(
            f"the archive holds dataset {fingerprint}, but says it is {_fingerprint(archive)}; "
            f"pack it again: {command('pack')}"
        )

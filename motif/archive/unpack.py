"""A dataset's archive, cut into parts: check it, and unpack the whole dataset or nothing.

``motif_dataset_part_00``, ``…_01``, … joined in the order of their names are a zip archive;
``SHA256SUMS`` beside them has the format of the command ``sha256sum``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import stat
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from motif.cli import command, option
from motif.data_files import BLOCK, sha256
from motif.errors import ArchiveError
from motif.file_lock import only_run
from motif.pairs_dataset import PairsDataset, arrays_present, collect_command

DATASET = "motif_dataset"  # the folder that the archive unpacks into
PREFIX = f"{DATASET}_part_"
SUMS = "SHA256SUMS"
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
    with open_archive(Path(config.zipped)) as archive:
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
    with open_archive(Path(config.zipped)) as archive:
        members = _members(archive)
        if _is_there(config.target, archive, members):
            return False
        with only_run(staging, busy):
            shutil.rmtree(staging / DATASET, ignore_errors=True)  # of a run that was killed
            try:
                _extract(archive, members, staging)
                _check_dataset(staging / DATASET, archive)
                os.rename(staging / DATASET, config.target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return True


@contextlib.contextmanager
def open_archive(folder: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, its parts checked.

    Raises:
        ArchiveError: there is none, its parts are not whole, or it cannot be read.
    """
    with tempfile.TemporaryFile() as joined:
        for path in checked_parts(folder):
            with path.open("rb") as part:
                shutil.copyfileobj(part, joined, BLOCK)
        try:
            with zipfile.ZipFile(joined) as archive:
                yield archive
        except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's; bz2 has no error of its own
            raise ArchiveError(
                f"the parts in {folder} do not make a zip archive that can be read ({error}); "
                f"restore them: git checkout -- {shlex.quote(str(folder))} (or download them again)"
            ) from None


def part_name(number: int, parts: int) -> str:
    """The name of part ``number`` of ``parts``; a shell's ``*`` lists the names in order."""
    return f"{PREFIX}{number:0{max(2, len(str(parts - 1)))}}"


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
            own = collect_command(DATASET)
            raise ArchiveError(f"no {PREFIX}* in {folder}; make a dataset of your own: {own}")
        warnings.warn(f"no {SUMS} in {folder}: the parts are taken as they are", stacklevel=3)
        return present
    sums = _read_sums(folder / SUMS)
    wrong = [
        f"{path.name} is not in {SUMS}; move it away" for path in present if path.name not in sums
    ]
    for path, digest in ((folder / name, digest) for name, digest in sums.items()):
        if not path.is_file():
            wrong.append(f"{path.name} is missing; {_restore(path)}")
        elif sha256(path) != digest:
            size = path.stat().st_size
            wrong.append(f"{path.name} is damaged ({size:,} bytes); {_restore(path)}")
    if wrong:
        raise ArchiveError(f"the archive in {folder} is not whole:\n  " + "\n  ".join(wrong))
    return [folder / name for name in sums]


def _restore(path: Path) -> str:
    return f"restore it: git checkout -- {shlex.quote(str(path))} (or download it again)"


def _read_sums(path: Path) -> dict[str, str]:
    """Sum by name; names are plain, in order, with nothing left out."""
    lines = [line.split(None, 1) for line in path.read_text(errors="replace").splitlines()]
    sums = {line[1].lstrip("*"): line[0] for line in lines if len(line) == 2}
    if not lines or list(sums) != [part_name(number, len(lines)) for number in range(len(lines))]:
        raise ArchiveError(
            f"{path} does not list the sums of {PREFIX}00 and so on; {_restore(path)}"
        )
    return sums


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of the archive, each a plain one with a place of its own inside the dataset."""
    for info in archive.infolist():
        path, kind = PurePosixPath(info.filename), stat.S_IFMT(info.external_attr >> 16)
        if path.parts[:1] != (DATASET,) or ".." in path.parts or "\\" in info.orig_filename:
            raise ArchiveError(f"refused: {info.filename!r} would be written outside of {DATASET}")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"refused: {info.filename!r} is a link or another special file")
        if info.flag_bits & 1:
            raise ArchiveError(f"refused: {info.filename!r} is encrypted")
    files = [info for info in archive.infolist() if not info.is_dir()]
    if len({PurePosixPath(info.filename) for info in files}) < len(files):
        raise ArchiveError("refused: two members have the same name")
    return files


def _fingerprint(archive: zipfile.ZipFile) -> str | None:
    """As the packing noted it; archives made by other means have none."""
    found = re.search(r"fingerprint ([0-9a-f]{16})$", archive.comment.decode("latin-1"))
    return found[1] if found else None


def _is_there(target: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> bool:
    """Whether the archive's dataset is at ``target`` already; False if nothing is."""
    nothing = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    if nothing and not target.is_symlink():
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


def _extract(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], staging: Path) -> None:
    needed, free = sum(info.file_size for info in members), shutil.disk_usage(staging).free
    if needed > free:
        raise ArchiveError(
            f"the dataset needs {needed / 1e6:,.0f} MB, but the disk of {staging.parent} has "
            f"{free / 1e6:,.0f} MB left; choose another --directory"
        )
    with tqdm(total=needed, unit="B", unit_scale=True, desc="unpacking") as bar:
        for info in members:
            with open(archive.extract(info, staging), "rb") as file:
                os.fsync(file.fileno())
            bar.update(info.file_size)


def _check_dataset(directory: Path, archive: zipfile.ZipFile) -> None:
    """Every array opens, and the content is what its maker packed."""
    fingerprint = PairsDataset(directory, arrays_present(directory)).fingerprint
    if fingerprint != (_fingerprint(archive) or fingerprint):
        raise ArchiveError(
            f"the archive holds dataset {fingerprint}, but says it is {_fingerprint(archive)}; "
            f"pack it again: {command('pack')}"
        )

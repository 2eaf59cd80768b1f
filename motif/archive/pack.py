"""Pack a dataset into parts.

The archive holds, under ``motif_dataset/`` whatever the folder is called: ``collection.json``,
the arrays of the layout in ``data`` and ``info``, and the merged label sets of ``preference``
(``.npy``, ``.json``, probabilities). Nothing else: no answers of a language model, no chunks in
the making, pictures or games.

The members are compressed with bzip2, a method of zip that ``unzip`` 6.0 knows: datasets
hold the same screens again and again, up to 900 kB apart, and deflate looks back 32 kB.
``motif_dataset_zipped/README.md`` has figures.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from motif.archive.unpack import DATASET, PREFIX, SUMS, checked_parts, part_name
from motif.cli import option
from motif.data_files import BLOCK, sha256
from motif.errors import ArchiveError, ConfigError
from motif.file_lock import only_run
from motif.pairs_dataset import PROVENANCE, PairsDataset, arrays_present
from motif.preference.label_set import label_sets, load_preferences

STAGING = ".packing"
TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the earliest of the format


@dataclass(frozen=True)
class PackConfig:
    """Settings of the packing; the same dataset and part size give the same bytes."""

    directory: str = option("motif_dataset", "folder of the dataset")
    output: str = option("motif_dataset_zipped", "folder of the parts")
    part_size_mib: float = option(18.0, "largest size of a part, in MiB")

    def __post_init__(self) -> None:
        if self.part_size < 1:
            raise ConfigError(f"--part_size_mib must be more than 0, got {self.part_size_mib}")

    @property
    def part_size(self) -> int:
        """In bytes."""
        return int(self.part_size_mib * (1 << 20))


def pack(config: PackConfig) -> list[Path]:
    """Write the parts; old ones stay until the new ones are whole.

    Returns:
        The parts, in order.

    Raises:
        DatasetError: there is no dataset, or an array of it is damaged.
        PreferenceError: a label set is damaged or belongs to another dataset.
        ArchiveError: another run is packing into the same folder.
    """
    pairs = PairsDataset(config.directory, arrays_present(config.directory))
    members, output = _members(pairs), Path(config.output)
    busy = ArchiveError(f"another run is packing into {output}; wait for it, or stop it")
    with only_run(output, busy):
        staging = output / STAGING
        shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
        staging.mkdir()
        try:
            with tempfile.TemporaryFile(dir=staging) as file:
                with zipfile.ZipFile(file, "w") as archive:
                    archive.comment = (
                        f"{len(pairs)} pairs, fingerprint {pairs.fingerprint}".encode()
                    )
                    _add(archive, members)
                names = [path.name for path in cut(file, staging, config.part_size)]
            for name in names:
                os.replace(staging / name, output / name)
            for old in output.glob(f"{PREFIX}*"):
                if old.name not in names:
                    old.unlink()
            os.replace(staging / SUMS, output / SUMS)  # last: until then a check fails
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return checked_parts(output)


def _members(pairs: PairsDataset) -> list[tuple[str, Path]]:
    """Name and file of each member, sorted."""
    folder = pairs.directory / "preference"
    paths = [*map(pairs.path, pairs.arrays), pairs.directory / PROVENANCE]
    for annotator in label_sets(folder):
        load_preferences(pairs, annotator)  # refuses what is damaged or another dataset's
        paths += [folder / f"{annotator}{suffix}" for suffix in (".npy", ".json", ".probs.npy")]
    names = {f"{DATASET}/{path.relative_to(pairs.directory).as_posix()}": path for path in paths}
    return sorted((name, path) for name, path in names.items() if path.is_file())


def _add(archive: zipfile.ZipFile, members: list[tuple[str, Path]]) -> None:
    """Compress each member, a block at a time; its date and permissions are always the same."""
    total = sum(path.stat().st_size for _, path in members)
    with tqdm(total=total, unit="B", unit_scale=True, desc="packing") as bar:
        for name, path in members:
            info = zipfile.ZipInfo(name, TIMESTAMP)
            info.compress_type = zipfile.ZIP_BZIP2
            info.create_system = 3  # Unix, on every system
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    bar.update(len(block))


def cut(source: IO[bytes], folder: Path, size: int) -> list[Path]:
    """Cut what ``source`` holds from its start into parts of ``size`` bytes, with their sums."""
    parts = -(-source.seek(0, io.SEEK_END) // size)
    source.seek(0)
    paths = [folder / part_name(number, parts) for number in range(parts)]
    for path in paths:
        with path.open("wb") as part:
            for start in range(0, size, BLOCK):
                part.write(source.read(min(BLOCK, size - start)))
            part.flush()
            os.fsync(part.fileno())
    with (folder / SUMS).open("w") as sums:
        sums.writelines(f"{sha256(path)}  {path.name}\n" for path in paths)
        sums.flush()
        os.fsync(sums.fileno())
    return paths

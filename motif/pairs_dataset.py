"""The pairs dataset on disk: memory-mapped arrays of shape (N, 2, L, ...).

``<directory>/data/{message,blstats,tty_chars,tty_colors,rewards}.npy`` and
``<directory>/info/{score,turns,experience_level,character}.npy``, the layout of the release, whose
datasets open unchanged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from motif.cli import command
from motif.data_files import read_array, read_json, sha256
from motif.errors import DatasetError
from motif.messages import MESSAGE_LENGTH
from motif.types import AnyArray, MessageArray

PROVENANCE = "collection.json"  # how a dataset was made; the release's have none
# What files are of where they don't say, as those of the release: their game, and its captions.
ORIGIN = {"game": "nethack", "caption": "message"}


@dataclass(frozen=True)
class ArraySpec:
    """What one file must hold: its folder, the shape after the leading axes, the kind of dtype."""

    folder: str
    leading_axes: int  # 3: (N, 2, L), one entry a step; 2: (N, 2), one a side
    item_shape: tuple[int | None, ...]  # None: any length
    dtype_kinds: str  # numpy's one-letter kinds
    itemsize: int | None = None  # bytes, where it is fixed


ARRAYS = {
    "message": ArraySpec("data", 3, (MESSAGE_LENGTH,), "u", 1),
    "blstats": ArraySpec("data", 3, (None,), "iu"),  # 27 in nle 1.0; older ones have fewer
    "tty_chars": ArraySpec("data", 3, (24, 80), "u", 1),
    "tty_colors": ArraySpec("data", 3, (24, 80), "i", 1),
    "rewards": ArraySpec("data", 3, (), "fiu"),
    "score": ArraySpec("info", 2, (), "iuf"),  # of the whole game the side came from
    "turns": ArraySpec("info", 2, (), "iuf"),
    "experience_level": ArraySpec("info", 2, (), "iuf"),
    "character": ArraySpec("info", 2, (), "SUiu"),  # Python objects are never read
}
# What only some datasets have; weight: --sampling rare (see motif_dataset_zipped/README.md).
EXTRA_ARRAYS = {"weight": ArraySpec("info", 2, (), "f")}
_SPECS = ARRAYS | EXTRA_ARRAYS


def arrays_present(directory: str | Path) -> list[str]:
    """The keys whose files are in a dataset's folder; ``message`` always, no dataset lacks it."""
    return [
        key
        for key, spec in _SPECS.items()
        if key == "message" or (Path(directory) / spec.folder / f"{key}.npy").exists()
    ]


class PairsDataset:
    """A pairs dataset, opened in constant time and memory.

    Args:
        directory: the dataset's folder.
        keys: the arrays to open and check (names of :data:`ARRAYS` or :data:`EXTRA_ARRAYS`).

    Raises:
        DatasetError: a file is missing, truncated, of another length, shape or dtype.
    """

    def __init__(self, directory: str | Path, keys: Sequence[str] = ("message",)) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise DatasetError(
                f"no dataset in {self.directory}; make one: {collect_command(self.directory)}"
            )
        self.arrays = {key: _open_array(self.path(key), _SPECS[key]) for key in keys}
        lengths = {self.path(key): len(array) for key, array in self.arrays.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{path}: {length}" for path, length in lengths.items())
            raise DatasetError(f"arrays of different length ({listed}); collect the dataset again")

    def path(self, key: str) -> Path:
        """Where the array ``key`` lies."""
        return self.directory / _SPECS[key].folder / f"{key}.npy"

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __getitem__(self, key: str) -> AnyArray:
        return self.arrays[key]

    def mapped_anew(self, key: str) -> AnyArray:
        """The array ``key`` in a new mapping: pages of one that is gone are nobody's memory."""
        array = _open_array(self.path(key), _SPECS[key])
        if len(array) != len(self):
            raise DatasetError(
                f"{self.path(key)} holds {len(array)} pairs, and held {len(self)} when it was "
                "opened; restore it, then start the same command again"
            )
        return array

    @property
    def messages(self) -> MessageArray:
        """(N, 2, L, 256) uint8, memory-mapped."""
        return self.arrays["message"]

    @cached_property
    def fingerprint(self) -> str:
        """A name for the dataset's content: a hash of its size and of 1,024 evenly spaced pairs.

        Cheap on any size, so that it need not be stored, and datasets of the release have one too.
        """
        messages = self.messages
        digest = hashlib.sha256(repr(messages.shape).encode())
        for index in np.unique(np.linspace(0, max(len(messages) - 1, 0), 1024).astype(np.int64)):
            if len(messages):
                # Mapped anew each time: the kernel maps far more than is read, and keeps it.
                digest.update(self.mapped_anew("message")[index].tobytes())
        return digest.hexdigest()[:16]


def collect_command(directory: str | Path) -> str:
    """The command that makes a dataset in ``directory``."""
    return command("collect", directory=directory, num_pairs=20000)


def read_provenance(directory: str | Path) -> dict[str, Any]:
    """What ``collection.json`` says; nothing where there is none, as in the release's datasets."""
    path = Path(directory) / PROVENANCE
    if not path.exists():
        return {}
    return read_json(path, error=DatasetError, way_out="restore or delete it")


def origin(directory: str | Path) -> dict[str, str]:
    """Which game a dataset is of, and which captions; nothing where nobody wrote it down."""
    made = read_provenance(directory).get("settings")
    return {} if made is None else {name: made.get(name, value) for name, value in ORIGIN.items()}


def origin_flags(directory: str | Path) -> dict[str, str]:
    """What the next stage must be told of a dataset: where it is not as by default."""
    flags = origin(directory).items()
    return {name: value for name, value in flags if ORIGIN[name] != value}


def check_origin(directory: str | Path, **expected: str) -> None:
    """Refuse a dataset of another game or of other captions than the flags of a stage say.

    Raises:
        DatasetError: naming the flag to give.
    """
    for name, there in origin(directory).items():
        if expected.get(name, there) != there:
            raise DatasetError(
                f"{directory} was collected with --{name} {there}, not {expected[name]}; give "
                f"--{name} {there}, or name another dataset"
            )


def array_sums(pairs: PairsDataset) -> dict[str, str]:
    """The SHA-256 of the file of each open array, by its path in the dataset's folder."""
    paths = [pairs.path(key) for key in pairs.arrays]
    return {path.relative_to(pairs.directory).as_posix(): sha256(path) for path in paths}


def check_sums(directory: str | Path) -> int:
    """Compare every byte of a dataset's arrays with the sums taken when it was collected.

    Returns:
        How many bytes were compared.
    """
    pairs = PairsDataset(directory, arrays_present(directory))
    made = read_provenance(directory).get("sha256")
    if not isinstance(made, dict):
        raise DatasetError(
            f"{directory} has no sums (sha256 in its {PROVENANCE}), so there is nothing to compare "
            f"its arrays with; parts of an archive have some: {command('unpack', '--check')}"
        )
    found = array_sums(pairs)
    wrong = sorted(name for name in made | found if made.get(name) != found.get(name))
    if wrong:
        named = ", ".join(
            f"{pairs.directory / name}{'' if name in found else ' (missing)'}" for name in wrong
        )
        raise DatasetError(
            f"not as collected: {named}; restore what is named, or move {directory} away and make "
            f"it again: {command('unpack')}, or collect with the settings in its {PROVENANCE}"
        )
    return sum(pairs.path(key).stat().st_size for key in pairs.arrays)


def _open_array(path: Path, spec: ArraySpec) -> AnyArray:
    if not path.exists():
        raise DatasetError(
            f"{path} is missing; make a dataset: {collect_command(path.parent.parent)}"
        )
    array = read_array(path, "r", error=DatasetError, way_out="restore or collect it again")
    leading, item = array.shape[: spec.leading_axes], array.shape[spec.leading_axes :]
    fits = (
        len(leading) == spec.leading_axes
        and leading[1] == 2
        and all(length > 0 for length in leading[2:])
        and len(item) == len(spec.item_shape)
        and all(want in (None, have) for want, have in zip(spec.item_shape, item))
    )
    if not fits:
        expected = ", ".join(
            [*("N", "2", "L")[: spec.leading_axes], *(str(n or "any") for n in spec.item_shape)]
        )
        raise DatasetError(f"{path} has shape {array.shape}, expected ({expected})")
    if array.dtype.kind not in spec.dtype_kinds or array.dtype.itemsize != (
        spec.itemsize or array.dtype.itemsize
    ):
        raise DatasetError(f"{path} has dtype {array.dtype}, which does not fit this array")
    return array

"""The labelled pairs of a run: in memory, and in a file that grows by whole records.

``online/pairs.bin`` outlives a ``kill -9``: what was written stays; a record that was cut short, or
has a wrong checksum, is none. :func:`write_dataset` makes a pairs dataset of it.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from motif.atomic_write import write_array, write_json
from motif.data_files import read_json
from motif.errors import CheckpointError, PreferenceError
from motif.messages import MESSAGE_LENGTH
from motif.pairs_dataset import PROVENANCE, PairsDataset, array_sums
from motif.preference.chunk import PreferenceChunk
from motif.preference.labels import Preference
from motif.reward.losses import targets_from_labels
from motif.reward.training_data import LabelledPairs
from motif.types import AnyArray, MessageArray

FILE = "pairs.bin"
SOURCE = "source.json"  # beside it: what the labels depend on
SIDE = f"S{MESSAGE_LENGTH}"
RECORD = np.dtype([("first", SIDE), ("second", SIDE), ("label", "i1"), ("seal", "<u4")])
SEALED = RECORD.itemsize - 4  # bytes that the checksum is of

Pair = tuple[bytes, bytes]  # two messages, without their padding


class MetPairs(PairsDataset):
    """Pairs of messages in memory, as an annotator reads a dataset."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.directory = Path()
        self.arrays = {"message": rows([side for pair in pairs for side in pair], (len(pairs), 2))}

    def mapped_anew(self, key: str) -> AnyArray:
        """The array itself."""
        return self.arrays[key]


def rows(messages: Sequence[bytes], shape: tuple[int, ...]) -> MessageArray:
    """Messages as an array (*shape, 1, 256) uint8."""
    padded = b"".join(message.ljust(MESSAGE_LENGTH, b"\0") for message in messages)
    return np.frombuffer(bytearray(padded), np.uint8).reshape(*shape, 1, MESSAGE_LENGTH)


class Labels:
    """All pairs that were asked about, and their labels; unknown ones too, to ask no more.

    Args:
        folder: ``online`` of the run.

    Raises:
        OSError: the file can't be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.messages: dict[bytes, int] = {}  # all sides; the number is a row below
        self.pairs: list[tuple[int, int, int]] = []  # rows of the sides, label
        self.asked: set[frozenset[bytes]] = set()  # the pairs, whichever side comes first
        self.known: dict[bytes, None] = {}  # messages of a pair whose label is known
        self.count = 0  # pairs whose label is known
        size = self.path.stat().st_size if self.path.exists() else 0
        if size % RECORD.itemsize:  # a record that was cut short
            os.truncate(self.path, size - size % RECORD.itemsize)
        for record in np.fromfile(self.path, RECORD) if size >= RECORD.itemsize else ():
            if zlib.crc32(record.tobytes()[:SEALED]) == record["seal"]:
                self._take((bytes(record["first"]), bytes(record["second"])), int(record["label"]))

    def __len__(self) -> int:
        return len(self.pairs)

    def add(self, pairs: Sequence[Pair], labels: Sequence[int]) -> None:
        """Keep the labels of ``pairs``, on disk as far as the kernel is concerned.

        Raises:
            OSError: the disk is full; then none of them is kept.
        """
        records = np.array([(*pair, label, 0) for pair, label in zip(pairs, labels)], dtype=RECORD)
        records["seal"] = [zlib.crc32(record.tobytes()[:SEALED]) for record in records]
        with self.path.open("ab", buffering=0) as file:
            whole = file.tell()
            if file.write(records.tobytes()) < records.nbytes:
                file.truncate(whole)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        for pair, label in zip(pairs, labels):
            self._take(pair, int(label))

    def _take(self, pair: Pair, label: int) -> None:
        first, second = (self.messages.setdefault(side, len(self.messages)) for side in pair)
        self.pairs.append((first, second, label))
        self.asked.add(frozenset(pair))
        if label != Preference.UNKNOWN:
            self.known |= dict.fromkeys(pair)
            self.count += 1

    def training_pairs(self, *, ties: bool) -> LabelledPairs:
        """The known pairs, as an optimiser step reads them.

        Args:
            ties: whether a tie is one; if not, it is as good as a preference for the second side.
        """
        known = [pair for pair in self.pairs if pair[2] != Preference.UNKNOWN]
        table = torch.tensor(known, dtype=torch.int64).reshape(-1, 3)
        labels_N = table[:, 2]
        if not ties:
            labels_N = torch.where(labels_N == Preference.TIE, int(Preference.SECOND), labels_N)
        return LabelledPairs(
            messages_UC=torch.from_numpy(rows(list(self.messages), (len(self.messages),))[:, 0]),
            index_NPT=table[:, :2, None],
            targets_NP=targets_from_labels(labels_N),
            labels_N=labels_N,
            blstats=None,
        )


def write_dataset(folder: Path, annotator: str) -> Path | None:
    """Make ``online/dataset`` of all that was labelled so far; None if nothing was.

    Args:
        annotator: name of its label set.
    """
    labels = Labels(folder)
    if not len(labels):
        return None
    names, where = list(labels.messages), folder / "dataset"
    sides = [names[row] for first, second, _ in labels.pairs for row in (first, second)]
    write_array(where / "data" / "message.npy", rows(sides, (len(labels), 2)))
    dataset = PairsDataset(where)
    made = read_json(folder / SOURCE, error=CheckpointError, way_out="restore it")
    write_json(where / PROVENANCE, {"settings": made["of"], "sha256": array_sums(dataset)})
    chunk = PreferenceChunk(dataset, annotator, made["judge"], ignore_existing=True)
    (where / "preference").mkdir(exist_ok=True)
    with chunk:
        chunk.labels[:] = [label for *_, label in labels.pairs]
        if chunk.finish():
            raise PreferenceError(f"{chunk.parts} is in the way; delete it")
    return where

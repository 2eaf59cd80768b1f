"""Writing a label set, in chunks that may be labelled on many machines.

While chunks are being labelled, each has a part file of its own in
``preference/<annotator>.parts/``; whichever run finds all of them complete merges them. No two
runs ever write the same bytes, and no lock outlives the process that holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from motif.atomic_write import write_array, write_json
from motif.data_files import read_array, sha256
from motif.errors import PreferenceError
from motif.file_lock import lock_or_refuse
from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import (
    check_provenance,
    check_sum,
    parts_folder,
    read_label_array,
    read_labels,
    read_provenance,
)
from motif.preference.labels import Preference, count_labels
from motif.types import AnyArray, LabelArray


class PreferenceChunk:
    """One chunk of a label set, open for writing: a context manager.

    Chunk ``chunk`` of ``chunks`` covers the pairs ``start`` to ``stop``. Labels that exist already
    (in its part file, or in the merged set) are kept unless ``ignore_existing``, which clears this
    chunk only. A label is on disk as soon as it is assigned, as far as the kernel is concerned;
    :meth:`flush` also survives a power cut.

    Args:
        source: what makes the labels (type, goal, model, prompt, …); two runs may write to one
            label set only if theirs are equal.
        probabilities: keep a float32 (N, 3) file ``<annotator>.probs.npy`` too.

    Raises:
        PreferenceError: another run writes this chunk, the set was begun with another number of
            chunks or another source, or a file of it is damaged.
    """

    def __init__(
        self,
        dataset: PairsDataset,
        annotator: str,
        source: Mapping[str, Any],
        *,
        chunk: int = 0,
        chunks: int = 1,
        ignore_existing: bool = False,
        probabilities: bool = False,
    ) -> None:
        if not 0 <= chunk < chunks:
            raise PreferenceError(
                f"chunk {chunk} of {chunks}: the number must be 0 to {chunks - 1}"
            )
        self.dataset, self.annotator, self.source = dataset, annotator, dict(source)
        self.chunk, self.chunks, self.ignore_existing = chunk, chunks, ignore_existing
        self.start, self.stop = self._range(chunk)
        self.folder = dataset.directory / "preference"
        self.path = self.folder / f"{annotator}.npy"
        self.parts = parts_folder(self.folder, annotator)
        self._suffixes = [".npy", ".probs.npy"] if probabilities else [".npy"]
        self._lock: IO[bytes] | None = None
        self.labels: AnyArray = np.empty(0, np.int8)
        self.probabilities: AnyArray | None = None

    def __enter__(self) -> PreferenceChunk:
        self.parts.mkdir(parents=True, exist_ok=True)
        with _exclusive(self.folder):
            self._check_otherparts_folder()
            begun = self._part(self.chunk, ".json").is_file()  # written after the part itself
            for suffix in self._suffixes:
                present = begun and self._part(self.chunk, suffix).is_file()
                if self.ignore_existing or not present:
                    if suffix == ".npy":
                        self._refuse_second_writer()
                    self._create_part(suffix)
            self._take_lock()
            self._write_state(complete=False)
        self.labels = self._map(".npy")
        if len(self._suffixes) > 1:
            self.probabilities = self._map(".probs.npy")
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()
        failed = exception[0] is not None and not self.ignore_existing
        if failed and not (self.labels != Preference.UNKNOWN).any():
            self._forget()
        self.labels, self.probabilities = self.labels[:0], None
        if self._lock:
            self._lock.close()

    def _forget(self) -> None:
        """Take away this chunk's part, which holds no label, and binds nobody to its number."""
        with _exclusive(self.folder):
            for suffix in (".json", *self._suffixes):
                self._part(self.chunk, suffix).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other chunks are there
                self.parts.rmdir()

    def flush(self) -> None:
        """Force what was assigned so far onto the disk."""
        for array in (self.labels, self.probabilities):
            if isinstance(array, np.memmap):
                array.flush()

    def finish(self) -> list[int]:
        """Declare this chunk complete; merge if all are.

        Returns:
            The chunks still missing; empty if the label set ``self.path`` is whole now.
        """
        self.flush()
        with _exclusive(self.folder):
            self._write_state(complete=True)
            missing = self._missing_chunks()
            if not missing:
                self._merge()
        return missing

    def _range(self, chunk: int) -> tuple[int, int]:
        length = len(self.dataset)
        return length * chunk // self.chunks, length * (chunk + 1) // self.chunks

    def _merged_probabilities(self) -> AnyArray:
        path, shape = self._merged(".probs.npy"), (len(self.dataset), 3)
        probabilities = read_label_array(path)
        if probabilities.shape != shape:
            raise PreferenceError(f"{path} has shape {probabilities.shape}, expected {shape}")
        return probabilities

    def _part(self, chunk: int, suffix: str) -> Path:
        return self.parts / f"chunk-{chunk}-of-{self.chunks}{suffix}"

    def _merged(self, suffix: str) -> Path:
        return self.folder / f"{self.annotator}{suffix}"

    def _base(self) -> LabelArray | None:
        """The merged set of an earlier run, if it may be built upon."""
        if not self.path.is_file():
            return None
        labels = read_labels(self.path, len(self.dataset))
        check_sum(self.path, self.annotator)
        source = check_provenance(self.path, self.dataset).get("source", self.source)
        return labels if source == self.source else None

    def _create_part(self, suffix: str) -> None:
        base = None if self.ignore_existing else self._base()
        if base is None and self.path.is_file() and not self.ignore_existing:
            raise PreferenceError(
                f"{self.path} was made by another source (see {self.path.with_suffix('.json')}); "
                "start over with --ignore-existing, or choose another name with "
                "--custom-annotator-string"
            )
        length = self.stop - self.start
        if suffix == ".npy":
            content = np.full(length, Preference.UNKNOWN, np.int8)
            if base is not None:
                content[:] = base[self.start : self.stop]
        else:
            content = np.full((length, 3), np.nan, np.float32)
            if base is not None and self._merged(suffix).is_file():
                content[:] = self._merged_probabilities()[self.start : self.stop]
        write_array(self._part(self.chunk, suffix), content)

    def _map(self, suffix: str) -> AnyArray:
        path, length = self._part(self.chunk, suffix), self.stop - self.start
        afresh = "start this chunk over with --ignore-existing"
        # Read first: "r+" would lengthen a truncated file by zeros, which are labels.
        array = (
            read_labels(path, length, afresh)
            if suffix == ".npy"
            else read_label_array(path, afresh)
        )
        if len(array) != length:
            raise PreferenceError(f"{path} has {len(array)} rows instead of {length}; {afresh}")
        return read_array(path, mmap_mode="r+") if length else array

    def _check_otherparts_folder(self) -> None:
        for path in self.parts.glob("chunk-*.json"):
            count = path.stem.rsplit("-", 1)[-1]
            if count != str(self.chunks):
                raise PreferenceError(
                    f"{self.annotator} was begun with --n-annotation-chunks {count}, not "
                    f"{self.chunks}; finish it so, or delete {self.parts}"
                )
            own = path == self._part(self.chunk, ".json")
            state = read_provenance(path)
            if state.get("dataset") != self.dataset.fingerprint:
                raise PreferenceError(
                    f"{path} belongs to another dataset; delete {self.parts} to start over"
                )
            if state.get("source") != self.source and not (own and self.ignore_existing):
                raise PreferenceError(
                    f"{path} was made by another source (annotator, prompt, model or sampling); "
                    "start over with --ignore-existing, or choose another name with "
                    "--custom-annotator-string"
                )

    def _missing_chunks(self) -> list[int]:
        absent, unfinished = self._absent_chunks(), []
        for chunk in set(range(self.chunks)) - set(absent):
            if not read_provenance(self._part(chunk, ".json")).get("complete"):
                unfinished.append(chunk)
        if absent and self._base() is None:
            unfinished += absent
        return sorted(unfinished)

    def _absent_chunks(self) -> list[int]:
        """Chunks that no run has begun; an earlier merged set may stand for them."""
        return [
            chunk
            for chunk in range(self.chunks)
            if not all(self._part(chunk, suffix).is_file() for suffix in (".json", ".npy"))
        ]

    def _merge(self) -> None:
        # Parts that are all there need no earlier set, which may be damaged.
        labels = self._base() if self._absent_chunks() else None
        if labels is None:
            labels = np.full(len(self.dataset), Preference.UNKNOWN, np.int8)
        # Its sums are no longer those of the files until all of them are replaced.
        self.path.with_suffix(".json").unlink(missing_ok=True)
        for suffix in self._suffixes:
            if suffix == ".npy":
                merged: AnyArray = labels
            else:
                merged = np.full((len(self.dataset), 3), np.nan, np.float32)
                if self._merged(suffix).is_file():
                    merged[:] = self._merged_probabilities()
            for chunk in range(self.chunks):
                part, (start, stop) = self._part(chunk, suffix), self._range(chunk)
                if part.is_file():
                    labelled = suffix == ".npy"
                    merged[start:stop] = (
                        read_labels(part, stop - start) if labelled else read_label_array(part)
                    )
            write_array(self._merged(suffix), merged)
        provenance = {
            "annotator": self.annotator,
            "source": self.source,
            "dataset": self.dataset.fingerprint,
            "pairs": len(self.dataset),
            "counts": count_labels(labels),
            "sha256": {path.name: sha256(path) for path in map(self._merged, self._suffixes)},
        }
        write_json(self.path.with_suffix(".json"), provenance)
        shutil.rmtree(self.parts)

    def _write_state(self, *, complete: bool) -> None:
        state = {
            "source": self.source,
            "dataset": self.dataset.fingerprint,
            "pairs": [self.start, self.stop],
            "complete": complete,
        }
        write_json(self._part(self.chunk, ".json"), state)

    def _refuse_second_writer(self) -> None:
        part = self._part(self.chunk, ".npy")
        if part.is_file():
            with part.open("rb") as file:
                lock_or_refuse(file.fileno(), part, self._busy(part))

    def _busy(self, part: Path) -> PreferenceError:
        return PreferenceError(f"another run is writing {part}; wait for it, or stop it")

    def _take_lock(self) -> None:
        part = self._part(self.chunk, ".npy")
        self._lock = part.open("rb")
        lock_or_refuse(self._lock.fileno(), part, self._busy(part))


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel frees it with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a disk without locks: runs rarely end together
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

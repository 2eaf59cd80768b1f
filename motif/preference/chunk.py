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
from motif.pairs_dataset import PairsDataset, origin_flags
from motif.preference.label_set import (
    LABELS,
    PROBABILITIES,
    RESTORE,
    check_provenance,
    check_sum,
    parts_folder,
    read_labels,
    read_probabilities,
    read_provenance,
)
from motif.preference.labels import Preference, count_labels
from motif.types import AnyArray

AFRESH = "start this chunk over with --ignore-existing"
OTHER_SOURCE = (
    "start over with --ignore-existing, or choose another name with --custom-annotator-string"
)


class PreferenceChunk:
    """One chunk of a label set, open for writing: a context manager.

    Chunk ``chunk`` of ``chunks`` covers the pairs ``start`` to ``stop``. Labels that exist already
    (in its part file, or in the merged set) are kept unless ``ignore_existing``, which clears this
    chunk only. A label is on disk as soon as it is assigned, as far as the kernel is concerned;
    :meth:`flush` also survives a power cut.

    Args:
        source: what makes the labels (type, goal, model, prompt, …); two runs may write to one
            label set only if theirs are equal.
        probabilities: keep a float32 (N, 4) file ``<annotator>.probs.npy`` too.
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
            between = f"the number must be 0 to {chunks - 1}"
            raise PreferenceError(f"chunk {chunk} of {chunks}: {between}")
        self.dataset, self.annotator, self.source = dataset, annotator, dict(source)
        self.chunk, self.chunks, self.ignore_existing = chunk, chunks, ignore_existing
        self.start, self.stop = self._range(chunk)
        self.folder = dataset.directory / "preference"
        self.path = self.folder / f"{annotator}.npy"
        self.parts = parts_folder(self.folder, annotator)
        self._suffixes = [LABELS, PROBABILITIES] if probabilities else [LABELS]
        self._lock: IO[bytes] | None = None
        self.labels: AnyArray = np.empty(0, np.int8)
        self.probabilities: AnyArray | None = None
        self.refused: dict[str, list[int]] = {}  # pairs that got no answer, by the reason
        self.served: dict[str, Any] = {}  # what a server told of its model's weights

    def __enter__(self) -> PreferenceChunk:
        self.parts.mkdir(parents=True, exist_ok=True)
        with _exclusive(self.folder):
            for path in self.parts.glob("chunk-*.json"):
                self._check_state(path)
            state = self._part(self.chunk, ".json")
            begun = state.is_file()  # written after the part itself
            if begun and not self.ignore_existing:
                self.served = read_provenance(state).get("served", {})
            for suffix in self._suffixes:
                part = self._part(self.chunk, suffix)
                if self.ignore_existing or not (begun and part.is_file()):
                    if suffix == LABELS and part.is_file():
                        self._locked(part).close()  # no other run writes what is replaced
                    write_array(part, self._first_content(suffix))
            self._lock = self._locked(self._part(self.chunk, LABELS))
            self._write_state(complete=False)
        self.labels = self._map(LABELS)
        if PROBABILITIES in self._suffixes:
            self.probabilities = self._map(PROBABILITIES)
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()
        failed = exception[0] is not None and not self.ignore_existing
        if failed and not (self.labels != Preference.UNKNOWN).any():
            self._forget()
        self.labels, self.probabilities = self.labels[:0], None
        if self._lock:
            self._lock.close()

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
            absent = [chunk for chunk in range(self.chunks) if not self._begun(chunk)]
            missing = [
                chunk
                for chunk in set(range(self.chunks)) - set(absent)
                if not read_provenance(self._part(chunk, ".json")).get("complete")
            ]
            # An earlier merged set may stand for chunks that no run has begun. Parts that are all
            # there need none; it may be damaged.
            base = self._merged(LABELS) if absent else None
            if absent and base is None:
                missing += absent
            if not missing:
                self._merge(base)
        return sorted(missing)

    def _range(self, chunk: int) -> tuple[int, int]:
        length = len(self.dataset)
        return length * chunk // self.chunks, length * (chunk + 1) // self.chunks

    def _part(self, chunk: int, suffix: str) -> Path:
        return self.parts / f"chunk-{chunk}-of-{self.chunks}{suffix}"

    def _begun(self, chunk: int) -> bool:
        return all(self._part(chunk, suffix).is_file() for suffix in (".json", LABELS))

    def _merged(self, suffix: str) -> AnyArray | None:
        """An array of the merged set of an earlier run, if it may be built upon."""
        path, length = self.folder / f"{self.annotator}{suffix}", len(self.dataset)
        if not path.is_file():
            return None
        if suffix == PROBABILITIES:
            return read_probabilities(path, length)
        labels = read_labels(path, length)
        check_sum(path, self.annotator)
        source = check_provenance(path, self.dataset).get("source", self.source)
        return labels if source == self.source else None

    def _first_content(self, suffix: str) -> AnyArray:
        content = _nothing(suffix, self.stop - self.start)
        if self.ignore_existing or not self.path.is_file():
            return content
        if self._merged(LABELS) is None:
            raise PreferenceError(
                f"{self.path} was made by another source (see {self.path.with_suffix('.json')}); "
                + OTHER_SOURCE
            )
        base = self._merged(suffix)
        return content if base is None else base[self.start : self.stop]

    def _map(self, suffix: str) -> AnyArray:
        path, length = self._part(self.chunk, suffix), self.stop - self.start
        # Read first: "r+" would lengthen a truncated file by zeros, which are labels.
        array = _read(suffix, path, length, AFRESH)
        return read_array(path, mmap_mode="r+") if length else array

    def _check_state(self, path: Path) -> None:
        """Refuse what would not go together with the chunk that ``path`` belongs to."""
        count = path.stem.rsplit("-", 1)[-1]
        if count != str(self.chunks):
            raise PreferenceError(
                f"{self.annotator} was begun with --n-annotation-chunks {count}, not "
                f"{self.chunks}; finish it so, or delete {self.parts}"
            )
        state = read_provenance(path)
        if state.get("dataset") != self.dataset.fingerprint:
            over = f"delete {self.parts} to start over"
            raise PreferenceError(f"{path} belongs to another dataset; {over}")
        cleared = self.ignore_existing and path == self._part(self.chunk, ".json")
        if state.get("source") != self.source and not cleared:
            raise PreferenceError(
                f"{path} was made by another source (annotator, prompt, model or sampling); "
                + OTHER_SOURCE
            )

    def _merge(self, labels: AnyArray | None) -> None:
        # Its sums are no longer those of the files until all of them are replaced.
        self.path.with_suffix(".json").unlink(missing_ok=True)
        sums = {}
        for suffix in reversed(self._suffixes):
            base = labels if suffix == LABELS else self._merged(suffix)
            merged = _nothing(suffix, len(self.dataset)) if base is None else base
            for chunk in range(self.chunks):
                part, (start, stop) = self._part(chunk, suffix), self._range(chunk)
                if part.is_file():
                    merged[start:stop] = _read(suffix, part, stop - start)
            path = self.folder / f"{self.annotator}{suffix}"
            write_array(path, merged)
            sums[path.name] = sha256(path)
        provenance = {
            "annotator": self.annotator,
            "source": self.source,
            "dataset": self.dataset.fingerprint,
            **origin_flags(self.dataset.directory),
            "pairs": len(self.dataset),
            "counts": count_labels(merged),
            "sha256": sums,
        }
        refused: dict[str, list[int]] = {}
        served: dict[str, Any] = {}
        for state in map(read_provenance, sorted(self.parts.glob("chunk-*.json"))):
            served |= state.get("served", {})
            for reason, pairs in state.get("refused", {}).items():
                refused.setdefault(reason, []).extend(pairs)
        told = {"refused": refused, "served": served}
        provenance |= {name: content for name, content in told.items() if content}
        write_json(self.path.with_suffix(".json"), provenance)
        shutil.rmtree(self.parts)

    def _write_state(self, *, complete: bool) -> None:
        state = {
            "source": self.source,
            "dataset": self.dataset.fingerprint,
            "pairs": [self.start, self.stop],
            "complete": complete,
            **({"refused": self.refused} if self.refused else {}),
            **({"served": self.served} if self.served else {}),
        }
        write_json(self._part(self.chunk, ".json"), state)

    def _forget(self) -> None:
        """Take away this chunk's part, which holds no label, and binds nobody to its number."""
        with _exclusive(self.folder):
            for suffix in (".json", *self._suffixes):
                self._part(self.chunk, suffix).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other chunks are there
                self.parts.rmdir()

    def _locked(self, part: Path) -> IO[bytes]:
        file = part.open("rb")
        busy = PreferenceError(f"another run is writing {part}; wait for it, or stop it")
        lock_or_refuse(file.fileno(), part, busy)
        return file


def _nothing(suffix: str, length: int) -> AnyArray:
    if suffix == LABELS:
        return np.full(length, Preference.UNKNOWN, np.int8)
    return np.full((length, 4), np.nan, np.float32)


def _read(suffix: str, path: Path, length: int, way_out: str = RESTORE) -> AnyArray:
    read = read_labels if suffix == LABELS else read_probabilities
    return read(path, length, way_out)


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

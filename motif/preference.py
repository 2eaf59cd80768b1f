"""Labels of a pairs dataset: the enum, finding and checking a label set, writing one in chunks.

A label set is ``preference/<annotator>.npy``, int8 (N,), with its provenance in
``<annotator>.json``. While chunks are being labelled, each has a part file of its own in
``preference/<annotator>.parts/``; whichever run finds all of them complete merges them. No two
runs ever write the same bytes, and no lock outlives the process that holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import IO, Any

import numpy as np

from motif.atomic_write import write_array, write_json
from motif.data_files import read_array, read_json, sha256
from motif.errors import DamagedFileError, PreferenceError
from motif.file_lock import lock_or_refuse
from motif.pairs_dataset import PairsDataset
from motif.types import AnyArray, LabelArray

RESTORE = "restore or delete it, then annotate again"
REPOSITORY_PREFERENCES = Path(__file__).resolve().parent.parent / "preference"


class Preference(IntEnum):
    """Which side of a pair the annotator prefers; the values are those of the files."""

    FIRST = 0
    SECOND = 1
    TIE = 2
    UNKNOWN = 3  # not asked yet, or no usable answer; asked again on resume


def count_labels(labels: LabelArray) -> dict[str, int]:
    """How many of each kind, by lower-case name."""
    counts = np.bincount(labels, minlength=len(Preference))
    return {kind.name.lower(): int(counts[kind]) for kind in Preference}


def label_sets(folder: Path) -> list[str]:
    """The names of the label sets in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob("*.npy") if ".probs" not in path.name)


def annotate_command(annotator: str, directory: Path) -> str:
    """The command that makes the label set ``annotator``, as far as its name tells."""
    kind = annotator.split("_")[0]
    kind = kind if kind in ("rules", "score", "return") else "llama"
    goal = f" --goal-key {annotator.rsplit('_', 1)[-1]}" if kind == "rules" else ""
    return (
        f"python -m scripts.annotate_pairs_dataset --directory {directory} "
        f"--annotator-type {kind}{goal}"
    )


def load_preferences(dataset: PairsDataset, annotator: str) -> LabelArray:
    """The label set ``annotator`` for ``dataset``, from its folder or the repository's.

    The repository is the one that holds this package or, for an installed package, the one that
    is the working directory.

    Returns:
        (N,) int8, values of :class:`Preference`.

    Raises:
        PreferenceError: there is none (the message lists those that are), it is damaged, of
            another length, or its provenance names another dataset or other counts.
    """
    path = _find_preferences(dataset, annotator)
    labels = _read_labels(path, len(dataset))
    counts = count_labels(labels)
    told = check_provenance(path, dataset).get("counts", counts)
    check_sum(path, annotator)
    if told != counts:
        raise PreferenceError(
            f"{path.with_suffix('.json')} counts {told}, but the labels are {counts}; restore it, "
            "or annotate again with --ignore-existing"
        )
    return labels


def label_source(dataset: PairsDataset, annotator: str) -> dict[str, Any]:
    """What made a label set (type, goal, model, …), as its provenance says; empty if unknown.

    Raises:
        PreferenceError: there is no such label set, or its provenance is not valid JSON.
    """
    beside = _find_preferences(dataset, annotator).with_suffix(".json")
    return dict(_read_json(beside).get("source", {})) if beside.is_file() else {}


def _find_preferences(dataset: PairsDataset, annotator: str) -> Path:
    own = dataset.directory / "preference"
    strangers = []
    for folder in (own, REPOSITORY_PREFERENCES, Path("preference")):
        path = folder / f"{annotator}.npy"
        if path.is_file() and (folder == own or _belongs(path, dataset)):
            return path
        strangers += [path] if path.is_file() else []
    available = find_label_sets(dataset)
    other = f" ({strangers[0]} labels another dataset)" if strangers else ""
    unmerged = " (its chunks are not all complete yet)" if _parts(own, annotator).is_dir() else ""
    raise PreferenceError(
        f"no label set {annotator!r} in {own}{unmerged}{other}; there are: "
        f"{', '.join(available) or 'none'}. Make it: "
        + annotate_command(annotator, dataset.directory)
    )


def find_label_sets(dataset: PairsDataset) -> list[str]:
    """The names that :func:`load_preferences` finds for ``dataset``, sorted."""
    found = set(label_sets(dataset.directory / "preference"))
    for folder in (REPOSITORY_PREFERENCES, Path("preference")):
        names = label_sets(folder)
        found |= {name for name in names if _belongs(folder / f"{name}.npy", dataset)}
    return sorted(found)


def check_provenance(path: Path, dataset: PairsDataset) -> dict[str, Any]:
    """The provenance beside a label file; empty, with a warning, where there is none.

    Raises:
        PreferenceError: it names another dataset, or is not valid JSON.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        warnings.warn(
            f"{path} has no provenance beside it; taken because its length fits", stacklevel=2
        )
        return {}
    provenance = _read_json(beside)
    if provenance.get("dataset", dataset.fingerprint) != dataset.fingerprint:
        raise PreferenceError(
            f"{path} labels another dataset ({provenance['dataset']}; this one is "
            f"{dataset.fingerprint}); move it away and annotate {dataset.directory} again"
        )
    return provenance


def check_sum(path: Path, annotator: str) -> None:
    """Compare a file of a label set with its checksum in the provenance, where there is one.

    Raises:
        PreferenceError: it was changed or damaged after it was written.
    """
    provenance = path.with_name(f"{annotator}.json")
    sums = _read_json(provenance).get("sha256") if provenance.is_file() else None
    if isinstance(sums, dict) and path.name in sums and sums[path.name] != sha256(path):
        raise PreferenceError(
            f"{path} is not as it was written (its checksum is not the one in {provenance.name}); "
            "restore it, or annotate again with --ignore-existing; if you changed it yourself, "
            f"delete {provenance}"
        )


def _belongs(path: Path, dataset: PairsDataset) -> bool:
    beside = path.with_suffix(".json")
    return beside.is_file() and _read_json(beside).get("dataset") == dataset.fingerprint


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except DamagedFileError as error:
        raise PreferenceError(f"{error}; restore or delete it") from None


def _read(path: Path, way_out: str = RESTORE) -> AnyArray:
    try:
        return read_array(path)
    except DamagedFileError as error:
        raise PreferenceError(f"{error}; {way_out}") from None


def _read_labels(path: Path, length: int, way_out: str = RESTORE) -> LabelArray:
    labels = _read(path, way_out)
    if labels.shape != (length,):
        raise PreferenceError(
            f"{path} has shape {labels.shape}, but {length} labels are expected: "
            f"it belongs to another dataset, or is damaged; {way_out}"
        )
    if labels.dtype.kind not in "iu" or (
        len(labels) and not 0 <= labels.min() <= labels.max() <= 3
    ):
        raise PreferenceError(f"{path} holds values other than 0, 1, 2, 3; it is no label set")
    return labels.astype(np.int8)


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
        self.parts = _parts(self.folder, annotator)
        self._suffixes = [".npy", ".probs.npy"] if probabilities else [".npy"]
        self._lock: IO[bytes] | None = None
        self.labels: AnyArray = np.empty(0, np.int8)
        self.probabilities: AnyArray | None = None

    def __enter__(self) -> PreferenceChunk:
        self.parts.mkdir(parents=True, exist_ok=True)
        with _exclusive(self.folder):
            self._check_other_parts()
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
        probabilities = _read(path)
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
        labels = _read_labels(self.path, len(self.dataset))
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
        array = _read_labels(path, length, afresh) if suffix == ".npy" else _read(path, afresh)
        if len(array) != length:
            raise PreferenceError(f"{path} has {len(array)} rows instead of {length}; {afresh}")
        return read_array(path, mmap_mode="r+") if length else array

    def _check_other_parts(self) -> None:
        for path in self.parts.glob("chunk-*.json"):
            count = path.stem.rsplit("-", 1)[-1]
            if count != str(self.chunks):
                raise PreferenceError(
                    f"{self.annotator} was begun with --n-annotation-chunks {count}, not "
                    f"{self.chunks}; finish it so, or delete {self.parts}"
                )
            own = path == self._part(self.chunk, ".json")
            state = _read_json(path)
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
            if not _read_json(self._part(chunk, ".json")).get("complete"):
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
                        _read_labels(part, stop - start) if labelled else _read(part)
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


def _parts(folder: Path, annotator: str) -> Path:
    return folder / f"{annotator}.parts"


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

"""A label set of a dataset: finding it, and checking that it is whole and this dataset's.

``preference/<annotator>.npy`` is int8 (N,), its provenance ``<annotator>.json`` beside it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from motif.cli import command
from motif.data_files import read_array, read_json, sha256
from motif.errors import DamagedFileError, PreferenceError
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import count_labels
from motif.types import AnyArray, LabelArray

RESTORE = "restore or delete it, then annotate again"
REPOSITORY_PREFERENCES = Path(__file__).resolve().parents[2] / "preference"


def label_sets(folder: Path) -> list[str]:
    """The names of the label sets in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob("*.npy") if ".probs" not in path.name)


def annotate_command(annotator: str, directory: Path) -> str:
    """The command that makes the label set ``annotator``, as far as its name tells."""
    kind = annotator.split("_")[0]
    kind = kind if kind in ("rules", "score", "return") else "llama"
    goal = ["--goal-key", annotator.rsplit("_", 1)[-1]] if kind == "rules" else []
    return command("annotate", "--directory", directory, "--annotator-type", kind, *goal)


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
    labels = read_labels(path, len(dataset))
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
    return dict(read_provenance(beside).get("source", {})) if beside.is_file() else {}


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
    unmerged = (
        " (its chunks are not all complete yet)" if parts_folder(own, annotator).is_dir() else ""
    )
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
    provenance = read_provenance(beside)
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
    sums = read_provenance(provenance).get("sha256") if provenance.is_file() else None
    if isinstance(sums, dict) and path.name in sums and sums[path.name] != sha256(path):
        raise PreferenceError(
            f"{path} is not as it was written (its checksum is not the one in {provenance.name}); "
            "restore it, or annotate again with --ignore-existing; if you changed it yourself, "
            f"delete {provenance}"
        )


def _belongs(path: Path, dataset: PairsDataset) -> bool:
    beside = path.with_suffix(".json")
    return beside.is_file() and read_provenance(beside).get("dataset") == dataset.fingerprint


def read_provenance(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except DamagedFileError as error:
        raise PreferenceError(f"{error}; restore or delete it") from None


def read_label_array(path: Path, way_out: str = RESTORE) -> AnyArray:
    try:
        return read_array(path)
    except DamagedFileError as error:
        raise PreferenceError(f"{error}; {way_out}") from None


def read_labels(path: Path, length: int, way_out: str = RESTORE) -> LabelArray:
    labels = read_label_array(path, way_out)
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


def parts_folder(folder: Path, annotator: str) -> Path:
    return folder / f"{annotator}.parts"

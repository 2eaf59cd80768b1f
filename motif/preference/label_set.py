"""A label set of a dataset: finding it, and checking that it is whole and this dataset's.

``preference/<annotator>.npy`` is int8 (N,), its provenance ``<annotator>.json`` beside it; with a
judge that gives them, ``<annotator>.probs.npy`` is float32 (N, 4): first, second, tie, and
the lean, by how much the side shown first was likelier in both orders (earlier files: N, 3).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motif.cli import command
from motif.data_files import read_array, read_json, sha256
from motif.errors import PreferenceError
from motif.pairs_dataset import PairsDataset, origin_flags
from motif.preference.labels import count_labels
from motif.types import LabelArray

RESTORE = "restore or delete it, then annotate again"
LABELS, PROBABILITIES = ".npy", ".probs.npy"  # the files of a label set
REPOSITORY_PREFERENCES = Path(__file__).resolve().parents[2] / "preference"


def label_sets(folder: Path) -> list[str]:
    """The names of the label sets in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob("*.npy") if ".probs" not in path.name)


def annotate_command(annotator: str, directory: Path) -> str:
    """The command that makes the label set ``annotator``, as far as its name tells."""
    kind = annotator.split("_")[0]
    kind = kind if kind in ("rules", "score", "return") else "llama"
    goal = ["--goal-key", annotator.rsplit("_", 1)[-1]] if kind == "rules" else []
    of = {name: value for name, value in origin_flags(directory).items() if name == "game"}
    return command("annotate", "--directory", directory, "--annotator-type", kind, *goal, **of)


def load_preferences(dataset: PairsDataset, annotator: str) -> LabelArray:
    """The label set ``annotator`` for ``dataset``: (N,) int8, values of :class:`Preference`.

    It is looked for in the dataset's folder, then in the repository that holds this package and,
    for an installed package, in the one that is the working directory.
    """
    path = _find(dataset, annotator)
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


def load_probabilities(dataset: PairsDataset, annotator: str) -> NDArray[np.float32]:
    """The judge's probabilities (N, 3) float32 that belong to :func:`load_preferences`' labels."""
    probabilities = find_probabilities(dataset, annotator)
    if probabilities is None:
        path = _find(dataset, annotator).with_name(annotator + PROBABILITIES)
        raise PreferenceError(
            f"--soft_labels: {annotator!r} has no probabilities ({path} is missing); annotate "
            "with a judge that gives them, or leave --soft_labels out"
        )
    return probabilities[:, :3]


def find_probabilities(dataset: PairsDataset, annotator: str) -> NDArray[np.float32] | None:
    """The judge's probabilities and leans (N, 4) float32; None for a judge that gives none."""
    labels = _find(dataset, annotator)
    path = labels.with_name(annotator + PROBABILITIES)
    if not path.is_file():
        return None
    probabilities = read_probabilities(path, len(dataset))
    if labels.with_suffix(".json").is_file():  # if not, it was said when the labels were read
        check_provenance(labels, dataset)
    check_sum(path, annotator)
    return probabilities


def label_source(dataset: PairsDataset, annotator: str) -> dict[str, Any]:
    """What made a label set (type, goal, model, …), as its provenance says; empty if unknown."""
    beside = _find(dataset, annotator).with_suffix(".json")
    return dict(read_provenance(beside).get("source", {})) if beside.is_file() else {}


def _find(dataset: PairsDataset, annotator: str) -> Path:
    own = dataset.directory / "preference"
    paths = [folder / f"{annotator}.npy" for folder in (own, *_shared())]
    there = [path for path in paths if path.is_file()]
    for path in there:
        if path.parent == own or _belongs(path, dataset):
            return path
    other = f" ({there[0]} labels another dataset)" if there else ""
    if parts_folder(own, annotator).is_dir():
        other = f" (its chunks are not all complete yet){other}"
    raise PreferenceError(
        f"no label set {annotator!r} in {own}{other}; there are: "
        f"{', '.join(find_label_sets(dataset)) or 'none'}. Make it: "
        + annotate_command(annotator, dataset.directory)
    )


def _shared() -> tuple[Path, Path]:
    return REPOSITORY_PREFERENCES, Path("preference")


def find_label_sets(dataset: PairsDataset) -> list[str]:
    """The names that :func:`load_preferences` finds for ``dataset``, sorted."""
    found = set(label_sets(dataset.directory / "preference"))
    for folder in _shared():
        names = label_sets(folder)
        found |= {name for name in names if _belongs(folder / f"{name}.npy", dataset)}
    return sorted(found)


def _belongs(path: Path, dataset: PairsDataset) -> bool:
    beside = path.with_suffix(".json")
    return beside.is_file() and read_provenance(beside).get("dataset") == dataset.fingerprint


def check_provenance(path: Path, dataset: PairsDataset) -> dict[str, Any]:
    """The provenance beside a label file; empty, with a warning, where there is none."""
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
    """Compare a file of a label set with its checksum in the provenance, where there are any."""
    provenance = path.with_name(f"{annotator}.json")
    sums = read_provenance(provenance).get("sha256") if provenance.is_file() else None
    if not isinstance(sums, dict) or sums.get(path.name) == sha256(path):
        return
    raise PreferenceError(
        f"{path} is not as it was written (its checksum is not the one in {provenance.name}); "
        "restore it, or annotate again with --ignore-existing; if you changed it yourself, "
        f"delete {provenance}"
    )


def read_provenance(path: Path) -> dict[str, Any]:
    """What made a label set, or a part of one."""
    return read_json(path, error=PreferenceError, way_out="restore or delete it")


def read_labels(path: Path, length: int, way_out: str = RESTORE) -> LabelArray:
    """Labels (N,) int8, if that is what the file holds."""
    labels = read_array(path, error=PreferenceError, way_out=way_out)
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


def read_probabilities(path: Path, length: int, way_out: str = RESTORE) -> NDArray[np.float32]:
    """Probabilities and leans (N, 4) float32, if the file holds them; NaN where none are known."""
    array = read_array(path, error=PreferenceError, way_out=way_out)
    if array.shape not in ((length, 3), (length, 4)) or array.dtype.kind != "f":
        raise PreferenceError(
            f"{path} has shape {array.shape}, expected {(length, 4)} of floats, and holds "
            f"{array.dtype}; {way_out}"
        )
    padded = np.full((length, 4), np.nan, np.float32)
    padded[:, : array.shape[1]] = array
    return padded


def parts_folder(folder: Path, annotator: str) -> Path:
    """Where the chunks of a label set are until all are complete."""
    return folder / f"{annotator}.parts"

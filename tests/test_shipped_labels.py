"""The label sets in ``preference/`` and the archive they belong to say the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from motif.annotate.captions import caption
from motif.archive.unpack import open_archive
from motif.messages import printable
from motif.preference.label_set import label_sets
from motif.preference.labels import Preference, count_labels

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "preference"
ZIPPED = ROOT / "motif_dataset_zipped"


@pytest.fixture(scope="module")
def archive():
    with open_archive(ZIPPED) as opened:
        yield opened


LANGUAGE_MODELS = {
    name
    for name in label_sets(SHIPPED)
    if json.loads((SHIPPED / f"{name}.json").read_text())["source"]["type"] == "llm"
}


@pytest.mark.parametrize("annotator", label_sets(SHIPPED))
def test_a_shipped_label_set_belongs_to_the_archive(annotator, archive):
    labels = np.load(SHIPPED / f"{annotator}.npy")
    provenance = json.loads((SHIPPED / f"{annotator}.json").read_text())
    assert labels.dtype == np.int8
    assert labels.shape == (provenance["pairs"],)
    assert provenance["counts"] == count_labels(labels)
    assert f"fingerprint {provenance['dataset']}" in archive.comment.decode()
    for suffix in (".npy", ".json") if annotator not in LANGUAGE_MODELS else ():
        packed = archive.read(f"motif_dataset/preference/{annotator}{suffix}")
        assert packed == (SHIPPED / f"{annotator}{suffix}").read_bytes()


@pytest.mark.skipif(not list(ZIPPED.glob("motif_dataset_part_*")), reason="no archive is shipped")
def test_the_archive_s_label_sets_are_shipped(archive):
    packed = [Path(name) for name in archive.namelist() if "/preference/" in name]
    sets = {path.stem for path in packed if path.suffix == ".npy"}
    assert sets == set(label_sets(SHIPPED)) - LANGUAGE_MODELS


@pytest.mark.parametrize("annotator", sorted(LANGUAGE_MODELS))
def test_a_language_model_s_labels_follow_its_ratings(annotator, archive):
    """Of the least decided a share are ties; of all others the higher rating is preferred."""
    source = json.loads((SHIPPED / f"{annotator}.json").read_text())["source"]
    assert len(source["model"]["converted_from"]["sha256"]) == 64
    with (SHIPPED / f"{annotator}.ratings.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if float(row["covered_mass"]) >= 0.5]
    ratings = {row["caption"]: float(row["rating"]) for row in rows}
    with archive.open("motif_dataset/data/message.npy") as file:
        messages = np.lib.format.read_array(file)
    labels = np.load(SHIPPED / f"{annotator}.npy")
    known = labels[labels != Preference.UNKNOWN]
    assert (known == Preference.TIE).mean() >= source["tie_share"]
    for index in range(0, len(labels), 97):
        first, second = (printable(caption(side)) for side in messages[index])
        known = first in ratings and second in ratings
        if labels[index] in (Preference.FIRST, Preference.SECOND):
            assert (ratings[first] > ratings[second]) == (labels[index] == Preference.FIRST)
        elif labels[index] == Preference.UNKNOWN:
            assert not known

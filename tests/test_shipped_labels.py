"""The label sets in ``preference/`` and the archive they belong to say the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from motif.archive.unpack import open_archive
from motif.preference.label_set import label_sets
from motif.preference.labels import count_labels

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "preference"
ZIPPED = ROOT / "motif_dataset_zipped"


@pytest.fixture(scope="module")
def archive():
    with open_archive(ZIPPED) as opened:
        yield opened


@pytest.mark.parametrize("annotator", label_sets(SHIPPED))
def test_a_shipped_label_set_is_the_archive_s(annotator, archive):
    labels = np.load(SHIPPED / f"{annotator}.npy")
    provenance = json.loads((SHIPPED / f"{annotator}.json").read_text())
    assert labels.dtype == np.int8
    assert labels.shape == (provenance["pairs"],)
    assert provenance["counts"] == count_labels(labels)
    assert f"fingerprint {provenance['dataset']}" in archive.comment.decode()
    for suffix in (".npy", ".json"):
        packed = archive.read(f"motif_dataset/preference/{annotator}{suffix}")
        assert packed == (SHIPPED / f"{annotator}{suffix}").read_bytes()


@pytest.mark.skipif(not list(ZIPPED.glob("motif_dataset_part_*")), reason="no archive is shipped")
def test_the_archive_s_label_sets_are_shipped(archive):
    packed = [Path(name) for name in archive.namelist() if "/preference/" in name]
    assert sorted(path.stem for path in packed if path.suffix == ".npy") == label_sets(SHIPPED)


def test_every_label_set_has_its_provenance():
    assert label_sets(SHIPPED) == sorted(path.stem for path in SHIPPED.glob("*.json"))

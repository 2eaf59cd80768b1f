"""The labeller's own process, and how it ends."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from motif.annotate.config import AnnotationConfig
from motif.errors import MotifError
from motif.online.labels import Labels
from motif.online.process import labelling, read_figures
from motif.online.settings import OnlineSettings
from motif.pairs_dataset import PairsDataset


def settings(folder, **judge):
    annotation = AnnotationConfig(directory=folder / "dataset", **judge)
    return OnlineSettings("retrieval", folder, annotation, most_labels=99, seed=7)


def test_it_labels_while_the_run_lasts_and_leaves_a_dataset(folder, meet, capsys):
    assert read_figures(folder) == {}
    with labelling(settings(folder, annotator_type="rules")):
        meet("You kill the newt!", "It's a wall.")
        deadline = time.monotonic() + 120
        while len(Labels(folder)) < 2:
            assert time.monotonic() < deadline, "no labels came"
            time.sleep(0.1)
        assert [child.name for child in multiprocessing.active_children()] == ["labeller"]
    assert not multiprocessing.active_children()
    assert read_figures(folder)["labels"] == 2
    assert "labels made while training" in capsys.readouterr().out
    assert len(PairsDataset(folder / "dataset")) == 2
    assert not list((folder / "met").iterdir())


def test_what_is_wrong_is_known_before_the_run_begins(folder, tmp_path):
    judge = {"annotator_type": "rules", "rules_file": tmp_path / "none.yaml"}
    with pytest.raises(MotifError, match=r"cannot read the rules file .*none\.yaml"):
        with labelling(settings(folder, **judge)):
            raise AssertionError("it began")
    assert not multiprocessing.active_children()

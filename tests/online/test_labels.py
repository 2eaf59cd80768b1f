"""Labelled pairs on disk, and the dataset that they become."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from motif.annotate.annotator import annotate_chunk
from motif.annotate.rules import RulesAnnotator
from motif.atomic_write import write_json
from motif.online.labels import RECORD, SOURCE, Labels, write_dataset
from motif.pairs_dataset import PairsDataset, check_sums
from motif.preference.chunk import PreferenceChunk
from motif.preference.label_set import load_preferences
from scripts import train_reward

PAIRS = [(f"You kill the monster number {i}!".encode(), b"") for i in range(8)]
PAIRS += [(b"It's a wall.", b""), (b"caf\xe9 \xff", b"It's a wall.")]
GIVEN = [0, 0, 0, 0, 0, 1, 1, 3, 2, 0]


@pytest.fixture
def labels(folder):
    folder.mkdir(parents=True)
    made = Labels(folder)
    made.add(PAIRS[:4], GIVEN[:4])
    made.add(PAIRS[4:], GIVEN[4:])
    return made


def test_labels_are_there_again_after_a_kill(labels, folder):
    again = Labels(folder)
    assert again.pairs == labels.pairs and again.messages == labels.messages
    assert again.count == labels.count == 9
    assert PAIRS[7][0] in again.messages and PAIRS[7][0] not in again.known  # it is unknown


def test_a_record_that_was_cut_short_is_none(labels, folder):
    content = labels.path.read_bytes()
    labels.path.write_bytes(content[: -RECORD.itemsize // 2])
    again = Labels(folder)
    assert again.pairs == labels.pairs[:-1]
    again.add(PAIRS[-1:], GIVEN[-1:])
    assert labels.path.read_bytes() == content


def test_a_flipped_bit_is_not_another_label(labels, folder):
    content = bytearray(labels.path.read_bytes())
    content[RECORD.itemsize * 3 + RECORD.fields["label"][1]] ^= 1
    labels.path.write_bytes(content)
    assert len(Labels(folder)) == len(PAIRS) - 1


def test_on_a_full_disk_no_label_is_half_there(labels, folder, monkeypatch):
    class Full(io.FileIO):
        def write(self, content):
            return super().write(content[: len(content) // 2])

    content = labels.path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda path, mode, buffering: Full(path, mode))
        with pytest.raises(OSError, match="No space left on device"):
            labels.add([(b"another", b"")] * 3, [0, 1, 2])
    assert labels.path.read_bytes() == content
    assert len(labels) == len(PAIRS)


def test_they_become_a_dataset_that_a_reward_is_trained_on(labels, folder, tmp_path, capsys):
    source = RulesAnnotator("defaultgoal").source
    write_json(
        folder / SOURCE,
        {"online": "retrieval", "judge": source, "of": {"game": "nethack", "caption": "change"}},
    )
    dataset = PairsDataset(write_dataset(folder, "rules_msg_defaultgoal"))
    assert load_preferences(dataset, "rules_msg_defaultgoal").tolist() == GIVEN
    assert bytes(dataset.messages[9, 0, 0]).rstrip(b"\0") == b"caf\xe9 \xff"
    assert check_sums(dataset.directory) == dataset.path("message").stat().st_size
    line = f"--dataset_dir {dataset.directory} --annotator rules_msg_defaultgoal --num_epochs 1"
    line += f" --train_dir {tmp_path} --encoder_msg_model lt_cnn_small --device cpu"
    assert train_reward.main(line.split()) == 2
    assert "was collected with --caption change, not message" in capsys.readouterr().err
    line += " --caption change"
    assert train_reward.main(line.split()) == 0
    # what is unknown is asked again by stage 1, with the same judge
    annotator = RulesAnnotator("defaultgoal")
    with PreferenceChunk(dataset, "rules_msg_defaultgoal", annotator.source) as chunk:
        assert annotate_chunk(dataset, annotator, chunk, flushing_freq=10) == []
    after = load_preferences(dataset, "rules_msg_defaultgoal")
    assert np.flatnonzero(after != GIVEN).tolist() == [7] and after[7] == 0
    labels.add([(b"later", b"")], [1])  # the run goes on, and ends again
    again = PairsDataset(write_dataset(folder, "rules_msg_defaultgoal"))
    assert load_preferences(again, "rules_msg_defaultgoal").tolist() == [*GIVEN, 1]


def test_without_labels_there_is_no_dataset(folder):
    folder.mkdir(parents=True)
    assert write_dataset(folder, "any") is None
    assert list(folder.iterdir()) == []

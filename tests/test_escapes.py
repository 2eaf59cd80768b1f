"""Messages and model output full of escape sequences: none of them reaches a terminal or a file."""

from __future__ import annotations

import re

import numpy as np
import pytest

from motif import cli, messages
from motif.annotate.compare import disagreement_table
from motif.annotate.language_model import show_turns
from motif.errors import ConfigError
from motif.results.report import shown
from scripts import annotate_pairs_dataset, collect_pairs_dataset, train_reward

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31mYou die\x9b1A\r\b\x7f‮../../etc"
NOT_SHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f‮]")


def said(capfd) -> str:
    """What a command printed, without the progress bars' own carriage returns."""
    captured = capfd.readouterr()
    return (captured.out + captured.err).replace("\r", "")


@pytest.fixture
def pairs(make_labelled_dataset):
    texts = (HOSTILE, "You kill the newt!", HOSTILE * 2, "")
    labels = np.arange(40) % 3
    return make_labelled_dataset(40, texts=texts, labels=labels)


def test_collecting(pairs, capfd):
    """Its output names no message, and a foreign file's settings are escaped."""
    folder = pairs.directory
    (folder / "collection.json").write_text('{"settings": {"task": "\\u001b[2Jtask"}}')
    assert collect_pairs_dataset.main(["--directory", str(folder)]) == 2
    text = said(capfd)
    assert "\\x1b[2Jtask" in text
    assert not NOT_SHOWN.search(text)


@pytest.mark.parametrize("flags", ["--annotator-type rules", "--show-prompt 0"])
def test_annotating(pairs, capfd, flags):
    line = ["--directory", str(pairs.directory), *flags.split()]
    assert annotate_pairs_dataset.main(line) == 0
    assert not NOT_SHOWN.search(said(capfd))


def test_conversations_on_disk_and_on_the_screen():
    turns = [{"role": "user", "content": HOSTILE}, {"role": "assistant", "content": HOSTILE}]
    assert not NOT_SHOWN.search(show_turns(turns))


def test_comparing(pairs):
    labels = [np.zeros(40, np.int8), np.ones(40, np.int8)]
    table = disagreement_table(pairs, ["one", "other"], labels, 40)
    assert "You die" in table
    assert not NOT_SHOWN.search(table)


@pytest.mark.filterwarnings("ignore:.*has no provenance")
def test_training(pairs, tmp_path, capfd):
    line = f"--dataset_dir {pairs.directory} --annotator toy --train_dir {tmp_path} --device cpu"
    line += " --num_epochs 1 --batch_size 16 --encoder_msg_model lt_cnn_small --experiment run"
    assert train_reward.main(line.split()) == 0
    assert not NOT_SHOWN.search(said(capfd))
    for path in (tmp_path / "run").rglob("*.csv"):
        assert not NOT_SHOWN.search(path.read_text())


def test_pictures():
    assert not NOT_SHOWN.search(shown(messages.decode(messages.encode(HOSTILE))))


@pytest.mark.parametrize("error", [ConfigError(HOSTILE), OSError(2, "No such file", HOSTILE)])
def test_errors(capsys, error):
    def command():
        raise error

    assert cli.run(command) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and "You die" in text
    assert not NOT_SHOWN.search(text)

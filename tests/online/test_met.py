"""Counts of what environments meet, on their way to the labeller."""

from __future__ import annotations

import os

import numpy as np

from motif.messages import encode
from motif.online import met
from motif.online.met import MetMessages, remove_files, waiting_files


def counted(folder, taken=()):
    return [dict(records.tolist()) for _, records in waiting_files(folder, taken)]


def test_counts_are_handed_on_now_and_then_each_once(folder):
    counts = MetMessages(folder, every=3)
    for text in ("a", "b", "a", "a", "", "caf\xe9 \xff", "left over"):
        counts.count(encode(text).tobytes())
    assert counted(folder) == [{b"a": 2, b"b": 1}, {b"a": 1, b"": 1, b"caf\xe9 \xff": 1}]


def test_what_was_taken_in_is_passed_over_and_removed(folder, meet):
    meet("a")
    ((path, _),) = waiting_files(folder, ())
    meet("b")
    assert counted(folder, [path.name]) == [{b"b": 1}]
    remove_files(folder, [path.name, "000-gone.npy"])
    assert counted(folder) == [{b"b": 1}]


def test_a_damaged_file_is_no_news(folder, meet):
    meet("a")
    for name, content in (("1.npy", b"\x93NUMPY cut short"), ("2.npy", b"")):
        (folder / "met" / name).write_bytes(content)
    np.save(folder / "met" / "3.npy", np.zeros(4))  # of something else
    assert counted(folder) == [{b"a": 1}]
    assert len(os.listdir(folder / "met")) == 1


def test_on_a_full_disk_counts_wait_as_many_as_there_may_be(folder, monkeypatch, capsys):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(met, "MOST_MESSAGES", 4)
    counts = MetMessages(folder, every=2)
    with monkeypatch.context() as patched:
        patched.setattr(met, "atomic_write", full)
        for text in "abcd":
            counts.count(encode(text).tobytes())
    assert capsys.readouterr().err.count("No space left on device") == 1  # said once
    counts.count(encode("a").tobytes())
    counts.count(encode("b").tobytes())
    assert counted(folder) == [{b"a": 2, b"b": 2, b"c": 1, b"d": 1}]
    monkeypatch.setattr(met, "atomic_write", full)
    for number in range(6):
        counts.count(encode(f"message {number}").tobytes())
    assert len(counts._counts) <= 4


def test_files_that_nobody_takes_in_do_not_pile_up(folder, monkeypatch):
    monkeypatch.setattr(met, "MOST_FILES", 3)
    counts = MetMessages(folder, every=1)
    for number in range(9):
        counts.count(encode(f"message {number}").tobytes())
    assert len(os.listdir(folder / "met")) == 3
    assert len(counts._counts) == 6  # these wait

"""Files are whole or not there."""

from __future__ import annotations

import json
import resource

import numpy as np
import pytest

from motif.atomic_write import atomic_write, temporary_path, write_array, write_json


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error, match="in the middle"):
        with atomic_write(path) as temporary:
            temporary.write_text("ne")
            raise error("in the middle")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    path = tmp_path / "file.txt"
    temporary_path(path).write_text("half, and longer than the whole")
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_written_is_an_error_not_an_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"file\.txt"):
        with atomic_write(tmp_path / "file.txt"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_json_is_sorted_and_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "file.json", {"b": [1, 2.5], "a": None})
    text = (tmp_path / "file.json").read_text()
    assert text.startswith('{\n  "a": null,')
    assert text.endswith("}\n")
    assert json.loads(text) == {"a": None, "b": [1, 2.5]}


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "file.json", {"a": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "file.json", {"a": object()})
    assert json.loads((tmp_path / "file.json").read_text()) == {"a": 1}


def test_arrays_are_whole(tmp_path):
    write_array(tmp_path / "array.npy", np.arange(6).reshape(2, 3))
    assert np.load(tmp_path / "array.npy", mmap_mode="r").tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("length", [600, 50_000])
def test_an_array_for_which_there_is_no_room_is_an_error(tmp_path, length):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "array.npy"
    write_array(path, np.zeros(3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_array(path, np.zeros(length, np.int8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(np.load(path)) == 3

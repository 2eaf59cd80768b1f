"""The folder of an exported model: whole or not there, and closed to training."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

from motif import exported_model
from motif.errors import CheckpointError
from motif.exported_model import (
    current_commit,
    exported_folder,
    portable,
    refuse_exported,
    write_model_file,
)


def export(output, text="weights"):
    with exported_folder(output) as folder:
        (folder / "checkpoint_p0").mkdir()
        (folder / "checkpoint_p0" / f"{text}.pth").write_text(text)
        write_model_file(folder, {"kind": "toy"})


def test_sizes_and_sums_of_all_files(tmp_path):
    export(tmp_path / "models" / "one")
    assert json.loads((tmp_path / "models/one/model.json").read_text()) == {
        "kind": "toy",
        "files": {
            "checkpoint_p0/weights.pth": {
                "bytes": 7,
                "sha256": hashlib.sha256(b"weights").hexdigest(),
            }
        },
    }


def test_an_older_export_is_replaced_whole(tmp_path):
    export(tmp_path / "one", "old")
    export(tmp_path / "one", "new")
    assert [path.name for path in tmp_path.rglob("*.pth")] == ["new.pth"]
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("error", [CheckpointError("damaged"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    export(tmp_path / "one", "old")
    before = (tmp_path / "one/model.json").read_bytes()
    for output in ("one", "two"):
        with pytest.raises(type(error)), exported_folder(tmp_path / output) as folder:
            (folder / "half").write_text("")
            raise error
    assert (tmp_path / "one/model.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_failed_rename_brings_the_older_export_back(tmp_path, monkeypatch):
    export(tmp_path / "one", "old")
    rename = exported_model.os.replace

    def failing(source, target):
        if source.name.endswith(".tmp") and source.is_dir():
            raise OSError("no space")
        rename(source, target)

    monkeypatch.setattr(exported_model.os, "replace", failing)
    with pytest.raises(OSError, match="no space"):
        export(tmp_path / "one", "new")
    assert [path.name for path in tmp_path.rglob("*.pth")] == ["old.pth"]
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_else_is_overwritten(tmp_path, kind):
    output = tmp_path / "precious"
    output.touch() if kind == "file" else output.mkdir()
    with pytest.raises(CheckpointError, match=r"precious is there and is no exported model"):
        export(output)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_training_is_kept_out(tmp_path):
    refuse_exported(tmp_path)
    refuse_exported(tmp_path / "not there")
    export(tmp_path / "one")
    with pytest.raises(CheckpointError, match=r"one holds an exported model .* copy the folder"):
        refuse_exported(tmp_path / "one")


@pytest.mark.parametrize(
    "path, kept", [("/home/someone/motif_dataset", "motif_dataset"), ("runs/a", "runs/a")]
)
def test_portable_paths(path, kept):
    assert portable(path) == kept


def test_the_commit_where_there_is_one(monkeypatch):
    monkeypatch.setattr(exported_model.subprocess, "run", lambda command, **_: _done(command))
    assert current_commit() == "abc123"

    def no_checkout(command, **_):
        raise subprocess.CalledProcessError(128, command)

    monkeypatch.setattr(exported_model.subprocess, "run", no_checkout)
    assert current_commit() is None


def _done(command):
    assert command[0] == "git" and command[-2:] == ["rev-parse", "HEAD"]
    return subprocess.CompletedProcess(command, 0, stdout="abc123\n")

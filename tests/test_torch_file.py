"""Files of torch: a wrong byte is found, only plain data is read, a failure leaves the old."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
import torch

from motif.cli import Terminated
from motif.errors import DamagedFileError
from motif.torch_file import read_torch_file, write_torch_file

CONTENT = {"model": {"weight": torch.arange(2000.0)}, "train_step": 3, "name": "a"}


def equal(one: dict, other: dict) -> bool:
    return torch.equal(one["model"]["weight"], other["model"]["weight"]) and all(
        one[key] == other[key] for key in ("train_step", "name")
    )


def test_what_is_written_is_read(tmp_path):
    write_torch_file(tmp_path / "new" / "a.pth", CONTENT)
    assert equal(read_torch_file(tmp_path / "new" / "a.pth"), CONTENT)
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_flipped_bit_is_found_wherever_it_matters(tmp_path):
    """torch.load itself returns wrong weights for most of these files."""
    path = tmp_path / "a.pth"
    write_torch_file(path, CONTENT)
    whole, rng, found = path.read_bytes(), random.Random(0), 0
    for _ in range(400):
        raw = bytearray(whole)
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(raw)
        try:
            assert equal(read_torch_file(path), CONTENT)  # it hit padding
        except DamagedFileError as error:
            assert str(path) in str(error)
            found += 1
    assert found > 300


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
    path = tmp_path / "a.pth"
    write_torch_file(path, CONTENT)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DamagedFileError, match=r"a\.pth is damaged or holds more"):
        read_torch_file(path)


def test_files_from_before_archives_are_read(tmp_path):
    torch.save(CONTENT, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert equal(read_torch_file(tmp_path / "a.pth"), CONTENT)


@pytest.mark.parametrize("archive", [True, False])
def test_nothing_is_executed(tmp_path, archive):
    class Malicious:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    path = tmp_path / "a.pth"
    if archive:
        torch.save({"model": Malicious()}, path)
    else:
        path.write_bytes(pickle.dumps({"model": Malicious()}))
    with pytest.raises(DamagedFileError, match="holds more than tensors and plain values"):
        read_torch_file(path)
    assert not (tmp_path / "executed").exists()


def test_something_else_is_named(tmp_path):
    torch.save([1, 2], tmp_path / "a.pth")
    with pytest.raises(DamagedFileError, match="holds a list, not a checkpoint"):
        read_torch_file(tmp_path / "a.pth")
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_torch_file(tmp_path / "nothing")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Terminated()])
def test_what_went_wrong_while_saving_is_what_is_raised(tmp_path, monkeypatch, error):
    """torch ends the archive in any case, and raises a RuntimeError of its own about that."""

    write = torch._C.PyTorchFileWriter.write_record
    calls = 0

    def write_record(self, name, *arguments):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise error
        return write(self, name, *arguments)

    monkeypatch.setattr(torch._C.PyTorchFileWriter, "write_record", write_record)
    with pytest.raises(type(error)):
        write_torch_file(tmp_path / "a.pth", CONTENT)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.pth"
    write_torch_file(path, CONTENT)
    with pytest.raises((AttributeError, pickle.PicklingError), match=r"pickle|local object"):
        write_torch_file(path, {"model": lambda: None})
    assert equal(read_torch_file(path), CONTENT)
    assert [one.name for one in tmp_path.iterdir()] == ["a.pth"]

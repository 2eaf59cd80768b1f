"""Arrays and JSON of strangers: read, or refused by name."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from motif.data_files import read_array, read_json, sha256
from motif.errors import DamagedFileError


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_an_array(tmp_path, mmap_mode):
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert read_array(tmp_path / "a.npy", mmap_mode).tolist() == [[0, 1, 2], [3, 4, 5]]


def header(text: str) -> bytes:
    raw = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw


@pytest.mark.parametrize("mmap_mode", [None, "r"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"a text",
        pickle.dumps([1, 2]),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (9,)}") + b"short",
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (10**18,)}"),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000,)}"),
        header("{'descr': 'no type', 'fortran_order': False, 'shape': (1,)}") + b"1",
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + pickle.dumps([1]),
        header("(" * 100),
        header("__import__('os').abort()"),
    ],
)
def test_no_array(tmp_path, content, mmap_mode):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.npy cannot be read \("):
        read_array(path, mmap_mode)


def test_objects_are_never_unpickled(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    np.save(tmp_path / "a.npy", np.array([Malicious()], dtype=object), allow_pickle=True)
    with pytest.raises(DamagedFileError, match=r"a\.npy cannot be read \(Object arrays"):
        read_array(tmp_path / "a.npy")
    assert not (tmp_path / "executed").exists()


def test_an_archive_is_no_array(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(2))
    with pytest.raises(DamagedFileError, match=r"a\.npz cannot be read \(it is an archive"):
        read_array(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe{}", b"[" * 200_000, b"nul"])
def test_no_json_object(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.json cannot be read \("):
        read_json(tmp_path / "a.json")


def test_what_is_missing_is_no_damage(tmp_path):
    for read in (read_array, read_json):
        with pytest.raises(FileNotFoundError, match="nothing"):
            read(tmp_path / "nothing")


def test_the_sum_is_that_of_sha256sum(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")

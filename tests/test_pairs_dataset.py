"""Opening datasets, ours and the release's, and telling what is wrong with damaged ones."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from motif.atomic_write import write_json
from motif.errors import DatasetError
from motif.pairs_dataset import ARRAYS, PairsDataset, array_sums, arrays_present, check_sums

ALL = tuple(ARRAYS)


def test_arrays_are_memory_maps_of_the_right_shape(make_dataset):
    pairs = make_dataset(12, seq_len=3)
    assert len(pairs) == 12
    assert pairs.messages.shape == (12, 2, 3, 256)
    assert pairs["tty_chars"].shape == (12, 2, 3, 24, 80)
    assert pairs["score"].shape == (12, 2)
    assert isinstance(pairs["tty_chars"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pairs.messages[0] = 0


def test_only_the_named_arrays_need_to_be_there(make_dataset):
    pairs = make_dataset(4)
    pairs.path("tty_chars").unlink()
    assert len(PairsDataset(pairs.directory)) == 4
    with pytest.raises(DatasetError, match=r"tty_chars\.npy is missing; make a dataset: python -m"):
        PairsDataset(pairs.directory, keys=ALL)


def test_which_arrays_are_there(make_dataset):
    pairs = make_dataset(4)
    assert arrays_present(pairs.directory) == list(ALL)
    np.save(pairs.path("weight"), np.ones((4, 2), np.float32))  # where rare messages were preferred
    assert arrays_present(pairs.directory) == [*ALL, "weight"]
    pairs.path("weight").unlink()
    for key in ("message", "score"):
        pairs.path(key).unlink()
    assert arrays_present(pairs.directory) == [key for key in ALL if key != "score"]
    assert arrays_present(pairs.directory / "nowhere") == ["message"]


def test_every_array_is_memory_mapped(make_dataset):
    pairs = PairsDataset(make_dataset(4).directory, keys=ALL)
    assert all(isinstance(pairs[key], np.memmap) for key in ALL)
    assert pairs["character"][3, 1] == b"mon-hum-neu-mal"


def test_older_blstats_are_welcome(make_dataset):
    pairs = make_dataset(4)
    np.save(pairs.path("blstats"), np.zeros((4, 2, 1, 25), np.int64))
    assert PairsDataset(pairs.directory, keys=ALL)["blstats"].shape == (4, 2, 1, 25)


def test_no_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"no dataset in .*nowhere; make one: python -m scripts"):
        PairsDataset(tmp_path / "nowhere")


@pytest.mark.parametrize("key", ALL)
def test_truncated(make_dataset, key):
    path = make_dataset(4).path(key)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=rf"{key}\.npy cannot be read .*collect it again"):
        PairsDataset(path.parent.parent, keys=ALL)


def test_an_array_that_changes_while_it_is_in_use(make_dataset):
    pairs = make_dataset(40)
    path, whole = pairs.path("message"), pairs.path("message").read_bytes()
    path.write_bytes(whole[:-300])
    with pytest.raises(DatasetError, match=r"message\.npy cannot be read"):
        pairs.mapped_anew("message")
    np.save(path, np.load(make_dataset(39).path("message")))
    with pytest.raises(DatasetError, match="holds 39 pairs, and held 40"):
        pairs.mapped_anew("message")
    path.unlink()
    with pytest.raises(DatasetError, match="is missing"):
        pairs.mapped_anew("message")


@pytest.mark.parametrize("content", [b"", b"not numpy", b"\x93NUMPY"])
def test_no_array_at_all(make_dataset, content):
    path = make_dataset(4).path("message")
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"message\.npy cannot be read"):
        PairsDataset(path.parent.parent)


def test_an_archive_is_not_an_array(make_dataset):
    path = make_dataset(4).path("message")
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(DatasetError, match=r"message\.npy cannot be read \(it is an archive"):
        PairsDataset(path.parent.parent)


def test_different_lengths(make_dataset):
    pairs = make_dataset(4)
    np.save(pairs.path("score"), np.zeros((3, 2), np.int64))
    with pytest.raises(DatasetError, match=r"different length \(.*message\.npy: 4.*score\.npy: 3"):
        PairsDataset(pairs.directory, keys=ALL)


@pytest.mark.parametrize(
    ("key", "shape", "expected"),
    [
        ("message", (4, 2, 256), r"\(4, 2, 256\), expected \(N, 2, L, 256\)"),
        ("message", (4, 2, 1, 255), r"expected \(N, 2, L, 256\)"),
        ("message", (4, 3, 1, 256), r"expected \(N, 2, L, 256\)"),
        ("message", (4, 2, 0, 256), r"expected \(N, 2, L, 256\)"),
        ("blstats", (4, 2, 1), r"expected \(N, 2, L, any\)"),
        ("tty_colors", (4, 2, 1, 80, 24), r"expected \(N, 2, L, 24, 80\)"),
        ("rewards", (4, 2), r"expected \(N, 2, L\)"),
        ("score", (4,), r"expected \(N, 2\)"),
        ("score", (), r"expected \(N, 2\)"),
    ],
)
def test_wrong_shape(make_dataset, key, shape, expected):
    pairs = make_dataset(4)
    np.save(pairs.path(key), np.zeros(shape, pairs[key].dtype))
    with pytest.raises(DatasetError, match=rf"{key}\.npy has shape .*{expected}"):
        PairsDataset(pairs.directory, keys=ALL)


@pytest.mark.parametrize(
    ("key", "dtype"),
    [
        ("message", np.int64),
        ("message", np.int8),
        ("message", np.uint16),
        ("blstats", np.float32),
        ("tty_colors", np.uint8),
        ("rewards", "S4"),
        ("score", "S4"),
        ("character", np.float32),
    ],
)
def test_wrong_dtype(make_dataset, key, dtype):
    pairs = make_dataset(4)
    np.save(pairs.path(key), np.zeros(pairs[key].shape, dtype))
    with pytest.raises(DatasetError, match=rf"{key}\.npy has dtype .*does not fit"):
        PairsDataset(pairs.directory, keys=ALL)


def test_the_fingerprint_names_the_content(make_dataset):
    pairs = make_dataset(50, seed=1)
    same = make_dataset(50, seed=1, name="copy")
    assert pairs.fingerprint == same.fingerprint
    assert len(json.dumps(pairs.fingerprint)) == 18
    assert make_dataset(50, seed=2, name="other").fingerprint != pairs.fingerprint
    assert make_dataset(49, seed=1, name="short").fingerprint != pairs.fingerprint


def test_the_fingerprint_sees_every_pair_of_a_small_dataset(make_dataset):
    pairs = make_dataset(40)
    before = pairs.fingerprint
    for index in (0, 17, 39):
        changed = np.load(pairs.path("message"))
        changed[index, 1, 0, 200] ^= 1
        np.save(pairs.path("message"), changed)
        after = PairsDataset(pairs.directory).fingerprint
        assert after != before
        before = after


def test_an_empty_dataset_opens(make_dataset):
    pairs = make_dataset(4)
    np.save(pairs.path("message"), np.zeros((0, 2, 1, 256), np.uint8))
    empty = PairsDataset(pairs.directory)
    assert len(empty) == 0
    assert empty.fingerprint


@pytest.fixture
def summed(make_dataset):
    """Bigger than what the fingerprint looks at, and with the sums that a collection has."""
    pairs = make_dataset(1100)
    np.save(pairs.path("weight"), np.ones((1100, 2), np.float32))
    pairs = PairsDataset(pairs.directory, keys=(*ALL, "weight"))
    write_json(pairs.directory / "collection.json", {"sha256": array_sums(pairs)})
    return pairs


@pytest.mark.parametrize("key", [*ALL, "weight"])
def test_one_flipped_bit_is_found_in_any_array(summed, key):
    assert check_sums(summed.directory) == sum(
        summed.path(key).stat().st_size for key in summed.arrays
    )
    path, offset = summed.path(key), summed[key].offset + summed[key].nbytes // 3
    content = bytearray(path.read_bytes())
    content[offset] ^= 4
    path.write_bytes(content)
    PairsDataset(summed.directory, keys=tuple(summed.arrays))  # looks like before
    with pytest.raises(DatasetError, match=rf"^not as collected: \S+/{key}\.npy; restore what is"):
        check_sums(summed.directory)


def test_arrays_that_are_gone_or_came_later_are_named(summed):
    path = summed.directory / "collection.json"
    sums = json.loads(path.read_text())["sha256"]
    write_json(path, {"sha256": {name: sums[name] for name in sums if "turns" not in name}})
    summed.path("score").unlink()
    expected = r"collected: \S+/info/score\.npy \(missing\), \S+/info/turns\.npy; restore"
    with pytest.raises(DatasetError, match=expected):
        check_sums(summed.directory)


def test_a_dataset_without_sums_cannot_be_checked(make_dataset):
    pairs = make_dataset(4)
    for content in (None, {"settings": {}}, {"sha256": "none"}):
        if content:
            write_json(pairs.directory / "collection.json", content)
        with pytest.raises(DatasetError, match=r"has no sums \(sha256 in its collection\.json\)"):
            check_sums(pairs.directory)


OPEN = """
import re, sys
from pathlib import Path
from motif.pairs_dataset import ARRAYS, PairsDataset
def own_kib():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
PairsDataset(sys.argv[1], tuple(ARRAYS)).fingerprint  # what the first opening imports
before = own_kib()
dataset = PairsDataset(sys.argv[2], tuple(ARRAYS))
print(len(dataset), len(dataset.fingerprint), own_kib() - before)
"""


def test_a_million_pairs_take_no_memory_to_open(tmp_path, make_dataset):
    """Sparse files of zeros; what the kernel maps of them is its own to drop."""
    pairs = 1_000_000
    small = make_dataset(10)
    for key, spec in ARRAYS.items():
        array = np.load(small.directory / spec.folder / f"{key}.npy")
        path = tmp_path / "large" / spec.folder / f"{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(path, "w+", array.dtype, (pairs, *array.shape[1:]))
    line = [sys.executable, "-c", OPEN, str(small.directory), str(tmp_path / "large")]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    length, fingerprint, grown_kib = map(int, done.stdout.split())
    assert (length, fingerprint) == (pairs, len(small.fingerprint))
    assert grown_kib < 1024

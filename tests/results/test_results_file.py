"""The results file: its shape, and that a pickle cannot do anything."""

from __future__ import annotations

import datetime
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from motif.errors import DamagedFileError
from motif.results.results_file import read_results, write_results

CURVE = {"timesteps": [[0, 100, 200], [0, 50]], "returns": [[0.5, 1.0, -2.5], [3.0, 4]]}
RESULTS = {
    "NetHackScore-v1": {"motif": CURVE, "extrinsic_only": {"timesteps": [], "returns": []}},
    "NetHackOracle-v1": {},
}


def save(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def with_curve(**curve: object) -> dict[str, object]:
    return {"task": {"motif": {**CURVE, **curve}}}


def test_what_is_written_is_read_by_us_and_by_pickle(tmp_path):
    write_results(tmp_path / "new" / "motif_results.pkl", RESULTS)
    path = tmp_path / "new" / "motif_results.pkl"
    assert read_results(path) == RESULTS
    assert pickle.loads(path.read_bytes()) == RESULTS
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "r.pkl"
    write_results(path, RESULTS)
    raw = path.read_bytes()
    for position in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"r\.pkl"):
            read_results(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(tmp_path, protocol):
    assert read_results(save(tmp_path / "r.pkl", RESULTS, protocol)) == RESULTS


def test_tuples_become_lists(tmp_path):
    content = with_curve(timesteps=((1, 2),), returns=[(3.0, 4.0)])
    (curve,) = read_results(save(tmp_path / "r.pkl", content))["task"].values()
    assert curve == {"timesteps": [[1, 2]], "returns": [[3.0, 4.0]]}


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (with_curve(returns=np.zeros((2, 3))), r"numpy.*_reconstruct"),
        (with_curve(returns=[[np.float64(1.0)] * 3, [0, 1]]), r"numpy.*scalar"),
        (OrderedDict(), r"collections\.OrderedDict"),
        (datetime.date(2020, 1, 1), r"datetime\.date"),
        (print, r"_?_?builtins?_?_?\.print"),
        ({1, 2}, r"_?_?builtins?_?_?\.set"),
    ],
)
def test_anything_but_plain_values_is_refused_by_name(tmp_path, content, asked):
    path = save(tmp_path / "r.pkl", content, protocol=2)
    with pytest.raises(DamagedFileError, match=rf"r\.pkl holds more than .*asks for {asked}"):
        read_results(path)


@pytest.mark.parametrize("call", [b"cos\nsystem\n", b"\x8c\x02os\x8c\x06system\x93"])
def test_nothing_is_executed(tmp_path, call):
    """``os.system`` as the function of a REDUCE, in the notations of protocols 0 and 4."""
    command = f"touch {tmp_path / 'executed'}".encode()
    program = b"\x80\x04" + call + b"X" + len(command).to_bytes(4, "little") + command + b"\x85R."
    assert pickle.loads(program) == 0 and (tmp_path / "executed").exists()  # it would work
    (tmp_path / "executed").unlink()
    (tmp_path / "r.pkl").write_bytes(program)
    with pytest.raises(DamagedFileError, match=r"it asks for os\.system"):
        read_results(tmp_path / "r.pkl")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b".",
        b"garbage",
        b"\x80\x04",
        pickle.dumps(RESULTS)[:-20],
        b"\x80\x04N}Q.",  # a persistent id
        b"\x80\x02]r\xff\xff\xff\x7f.",  # a memo of 16 GB
        b"(" * 100_000 + b"t" * 100_000 + b".",
        b"\x80\x04\x82\x01.",  # an extension code
    ],
)
def test_damaged_or_hostile_bytes(tmp_path, program):
    (tmp_path / "r.pkl").write_bytes(program)
    with pytest.raises(DamagedFileError, match=r"r\.pkl"):
        read_results(tmp_path / "r.pkl")


def itself() -> dict[str, object]:
    loop: dict[str, object] = {}
    loop["task"] = {"motif": loop}
    return loop


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], r"is a list, not a dict"),
        ({3: {}}, r"has the key 3, which is no text"),
        ({"task": 4}, r"\['task'\] is a int, not a dict"),
        ({"task": {"motif": [1]}}, r"\['motif'\] is a list, not a dict"),
        (with_curve(seeds=[]), r"has \['returns', 'seeds', 'timesteps'\], expected"),
        (with_curve(returns=3), r"\['returns'\] is a int, not a list"),
        (with_curve(returns=[1, 2]), r"\['returns'\]\[0\] is a int, not a list"),
        (with_curve(returns=[[1, 2, 3]]), r"\[3, 2\] time steps for \[3\] returns"),
        (with_curve(returns=[[1, 2], [3, 4]]), r"\[3, 2\] time steps for \[2, 2\] returns"),
        (with_curve(returns=[[1, "2", 3], [1, 2]]), r"\[0\]\[1\] is '2', not a finite"),
        (with_curve(returns=[[1, True, 3], [1, 2]]), r"\[0\]\[1\] is True, not a finite"),
        (with_curve(returns=[[1, 2, float("nan")], [1, 2]]), r"\[0\]\[2\] is nan, not a finite"),
        (with_curve(timesteps=[[1, 2, float("inf")], [1, 2]]), r"is inf, not a finite"),
        (itself(), r"has \['task'\], expected"),
    ],
)
def test_another_shape_is_refused_reading_and_writing(tmp_path, content, message):
    with pytest.raises(DamagedFileError, match=message):
        read_results(save(tmp_path / "r.pkl", content))
    with pytest.raises(DamagedFileError, match=message):
        write_results(tmp_path / "w.pkl", content)
    assert not (tmp_path / "w.pkl").exists()


def test_a_small_file_that_unfolds_to_a_huge_one_is_refused(tmp_path):
    seed = [0] * 1000
    methods = {
        str(number): {"timesteps": [seed] * 100, "returns": [seed] * 100} for number in range(99)
    }
    content = {str(number): methods for number in range(10_000)}
    with pytest.raises(DamagedFileError, match="more points than bytes: it repeats itself"):
        read_results(save(tmp_path / "r.pkl", content))


def test_numpy_is_not_written(tmp_path):
    with pytest.raises(DamagedFileError, match=r"is .*1\.0.*, not a finite plain number"):
        write_results(tmp_path / "w.pkl", with_curve(returns=[[np.float64(1.0)] * 3, [1, 2]]))
    with pytest.raises(DamagedFileError, match="is a ndarray, not a list"):
        write_results(tmp_path / "w.pkl", with_curve(returns=np.zeros((2, 3))))


def test_a_failure_leaves_the_old_file(tmp_path):
    write_results(tmp_path / "r.pkl", RESULTS)
    with pytest.raises(DamagedFileError, match="not a dict"):
        write_results(tmp_path / "r.pkl", {"task": None})
    assert read_results(tmp_path / "r.pkl") == RESULTS


def test_a_missing_or_enormous_file(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_results(tmp_path / "nothing")
    monkeypatch.setattr("motif.results.results_file.LARGEST_FILE", 10)
    with pytest.raises(DamagedFileError, match="bytes: no file of curves"):
        read_results(save(tmp_path / "r.pkl", RESULTS))

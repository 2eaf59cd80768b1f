"""Label sets: chunks, resuming, merging, provenance, and what is refused."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motif
from motif.atomic_write import write_json
from motif.errors import PreferenceError
from motif.pairs_dataset import PairsDataset
from motif.preference import chunk as chunk_module
from motif.preference import label_set
from motif.preference.chunk import PreferenceChunk
from motif.preference.label_set import (
    annotate_command,
    check_provenance,
    check_sum,
    label_source,
    load_preferences,
    load_probabilities,
)
from motif.preference.labels import Preference, count_labels

SOURCE = {"type": "test", "goal": "defaultgoal"}
FIRST, SECOND, TIE, UNKNOWN = Preference
FRESH = itertools.count()  # names of datasets


def answer(index: int) -> int:
    """What the annotator of these tests says about pair ``index``."""
    return (index * 7 + index // 3) % 3


def answers(pairs: PairsDataset) -> list[int]:
    return [answer(index) for index in range(len(pairs))]


def annotate(pairs: PairsDataset, chunk: int = 0, chunks: int = 1, at_most=None, **settings):
    """Label what is unknown in one chunk, or the first ``at_most`` pairs of it.

    Returns the pairs asked about, and the chunks still missing (None: not finished).
    """
    settings = {"source": SOURCE, **settings}
    with PreferenceChunk(pairs, "test", chunk=chunk, chunks=chunks, **settings) as opened:
        asked = (np.flatnonzero(opened.labels == UNKNOWN) + opened.start).tolist()
        for index in asked[:at_most]:
            opened.labels[index - opened.start] = answer(index)
            if opened.probabilities is not None:
                opened.probabilities[index - opened.start, :3] = np.eye(3)[answer(index)]
        return asked, opened.finish() if at_most is None else None


@pytest.fixture
def pairs(make_dataset) -> PairsDataset:
    return make_dataset(23)


def test_the_values_are_those_of_the_files():
    assert {kind.name: kind.value for kind in Preference} == {
        "FIRST": 0,
        "SECOND": 1,
        "TIE": 2,
        "UNKNOWN": 3,
    }
    assert count_labels(np.array([0, 2, 2, 3, 0, 0], np.int8)) == {
        "first": 3,
        "second": 0,
        "tie": 2,
        "unknown": 1,
    }


def test_one_chunk(pairs):
    asked, missing = annotate(pairs)
    assert asked == list(range(23))
    assert missing == []
    folder = pairs.directory / "preference"
    assert sorted(path.name for path in folder.iterdir()) == ["test.json", "test.npy"]
    labels = np.load(folder / "test.npy")
    assert labels.dtype == np.int8
    assert labels.tolist() == load_preferences(pairs, "test").tolist() == answers(pairs)
    assert json.loads((folder / "test.json").read_text()) == {
        "annotator": "test",
        "source": SOURCE,
        "dataset": pairs.fingerprint,
        "pairs": 23,
        "counts": count_labels(labels),
        "sha256": {"test.npy": hashlib.sha256((folder / "test.npy").read_bytes()).hexdigest()},
    }


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example has its dataset
)
@given(data=st.data(), length=st.integers(0, 9), chunks=st.integers(1, 12))
def test_chunks_in_any_order_interrupted_or_not_give_the_same_file(
    make_dataset, data, length, chunks
):
    """Any number of chunks, more than there are pairs too."""
    pairs = make_dataset(length, name=f"pairs-{next(FRESH)}")
    order = data.draw(st.permutations(range(chunks)))
    for position, chunk in enumerate(order):
        for _ in range(data.draw(st.integers(0, 2))):
            annotate(pairs, chunk, chunks, at_most=data.draw(st.integers(0, 3)))
        _, missing = annotate(pairs, chunk, chunks)
        assert missing == sorted(order[position + 1 :])
    assert load_preferences(pairs, "test").tolist() == answers(pairs)
    assert not (pairs.directory / "preference" / "test.parts").exists()


def test_resuming_asks_only_what_is_unknown(pairs):
    asked, _ = annotate(pairs, at_most=10)
    assert asked == list(range(23))
    assert annotate(pairs) == (list(range(10, 23)), [])
    assert annotate(pairs) == ([], [])
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_unknown_answers_are_asked_again(pairs):
    with PreferenceChunk(pairs, "test", SOURCE) as chunk:
        chunk.labels[:] = answers(pairs)
        chunk.labels[[3, 20]] = UNKNOWN
        assert chunk.finish() == []
    assert annotate(pairs, chunk=1, chunks=2) == ([20], [])
    assert annotate(pairs, chunk=0, chunks=2) == ([3], [])
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_an_unfinished_set_is_not_seen(pairs):
    annotate(pairs, chunk=0, chunks=2)
    with pytest.raises(PreferenceError, match=r"its chunks are not all complete yet"):
        load_preferences(pairs, "test")


def test_ignore_existing_clears_this_chunk_only(pairs):
    for chunk in range(2):
        annotate(pairs, chunk, 2)
    asked, missing = annotate(pairs, 1, 2, ignore_existing=True)
    assert asked == list(range(11, 23))
    assert missing == []
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_ignore_existing_clears_an_unfinished_chunk_only(pairs):
    annotate(pairs, 0, 2, at_most=4)
    annotate(pairs, 1, 2, at_most=4)
    assert annotate(pairs, 1, 2, ignore_existing=True)[0] == list(range(11, 23))
    assert annotate(pairs, 0, 2)[0] == list(range(4, 11))


def test_labels_are_on_disk_as_soon_as_they_are_assigned(pairs):
    with PreferenceChunk(pairs, "test", SOURCE) as chunk:
        chunk.labels[5] = TIE
        part = pairs.directory / "preference" / "test.parts" / "chunk-0-of-1.npy"
        assert np.load(part)[5] == TIE


def test_probabilities_are_kept_and_merged(pairs):
    annotate(pairs, 1, 2, probabilities=True)
    annotate(pairs, 0, 2, probabilities=True)
    probabilities = np.load(pairs.directory / "preference" / "test.probs.npy")
    assert probabilities.dtype == np.float32
    assert (probabilities[:, :3] == np.eye(3)[answers(pairs)]).all()
    assert np.isnan(probabilities[:, 3]).all()  # this judge has no orders
    annotate(pairs, 0, 2, probabilities=True, ignore_existing=True)
    again = np.load(pairs.directory / "preference" / "test.probs.npy")
    assert np.array_equal(again, probabilities, equal_nan=True)


@pytest.mark.parametrize("chunk", [-1, 2, 5])
def test_no_such_chunk(pairs, chunk):
    with pytest.raises(PreferenceError, match=rf"chunk {chunk} of 2: the number must be 0 to 1"):
        PreferenceChunk(pairs, "test", SOURCE, chunk=chunk, chunks=2)


@pytest.mark.parametrize("ignore_existing", [False, True])
def test_a_second_writer_of_a_chunk_is_refused(pairs, ignore_existing):
    with PreferenceChunk(pairs, "test", SOURCE, chunk=1, chunks=2) as first:
        first.labels[0] = TIE
        with pytest.raises(PreferenceError, match=r"another run is writing .*chunk-1-of-2\.npy"):
            annotate(pairs, 1, 2, ignore_existing=ignore_existing)
        assert first.labels[0] == TIE
        annotate(pairs, 0, 2)  # another chunk is free
    assert annotate(pairs, 1, 2)[1] == []


def test_another_number_of_chunks_is_refused(pairs):
    annotate(pairs, 0, 3)
    with pytest.raises(PreferenceError, match=r"begun with --n-annotation-chunks 3, not 2"):
        annotate(pairs, 0, 2)


def test_another_source_is_refused_while_chunks_are_open(pairs):
    annotate(pairs, 0, 2)
    other = {**SOURCE, "goal": "gold"}
    with pytest.raises(PreferenceError, match=r"chunk-0-of-2\.json was made by another source"):
        annotate(pairs, 1, 2, source=other)
    with pytest.raises(PreferenceError, match=r"another source .*--ignore-existing"):
        annotate(pairs, 1, 2, source=other, ignore_existing=True)


def test_another_source_is_refused_after_the_merge(pairs):
    annotate(pairs)
    other = {**SOURCE, "goal": "gold"}
    with pytest.raises(PreferenceError, match=r"test\.npy was made by another source"):
        annotate(pairs, source=other)
    assert annotate(pairs, source=other, ignore_existing=True)[0] == list(range(23))
    provenance = json.loads((pairs.directory / "preference" / "test.json").read_text())
    assert provenance["source"] == other


def test_a_run_killed_before_its_state_is_written_leaves_no_stranger_s_labels(pairs):
    annotate(pairs)
    parts = pairs.directory / "preference" / "test.parts"
    parts.mkdir()
    np.save(parts / "chunk-0-of-1.npy", np.zeros(23, np.int8))  # and no chunk-0-of-1.json
    with pytest.raises(PreferenceError, match=r"test\.npy was made by another source"):
        annotate(pairs, source={"type": "other"})
    assert annotate(pairs) == ([], [])
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_chunks_of_another_dataset_are_refused(pairs, make_dataset):
    annotate(pairs, 0, 2)
    other = make_dataset(23, seed=9, name="other")
    shutil.copytree(pairs.directory / "preference", other.directory / "preference")
    with pytest.raises(PreferenceError, match=r"chunk-0-of-2\.json belongs to another dataset"):
        annotate(other, 1, 2)


def test_labels_of_another_dataset_are_refused(pairs, make_dataset):
    annotate(pairs)
    other = make_dataset(23, seed=9, name="other")
    shutil.copytree(pairs.directory / "preference", other.directory / "preference")
    with pytest.raises(PreferenceError, match=r"test\.npy labels another dataset \(.*; this one"):
        load_preferences(other, "test")


def test_labels_without_provenance_are_taken_with_a_warning(pairs):
    annotate(pairs)
    (pairs.directory / "preference" / "test.json").unlink()
    with pytest.warns(UserWarning, match="no provenance beside it; taken because its length fits"):
        assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_labels_with_provenance_give_no_warning(pairs):
    annotate(pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_preferences(pairs, "test")


def test_a_label_set_that_is_not_there(pairs):
    annotate(pairs)
    np.save(pairs.directory / "preference" / "test.probs.npy", np.zeros((23, 3)))
    with pytest.raises(
        PreferenceError,
        match=r"no label set 'rules_msg_gold' .*there are: test\. Make it: .*--goal-key gold",
    ):
        load_preferences(pairs, "rules_msg_gold")


@pytest.mark.parametrize(
    ("annotator", "flags"),
    [
        ("rules_msg_gold", "--annotator-type rules --goal-key gold"),
        ("score", "--annotator-type score"),
        ("return", "--annotator-type return"),
        ("llama70b_msg_defaultgoal_default", "--annotator-type llama"),
        ("mine", "--annotator-type llama"),
    ],
)
def test_the_command_that_makes_a_label_set(annotator, flags):
    command = annotate_command(annotator, Path("pairs"))
    assert command == f"python -m scripts.annotate_pairs_dataset --directory pairs {flags}"


def test_the_repository_s_label_sets_serve_their_dataset_only(pairs, make_dataset, monkeypatch):
    annotate(pairs)
    shipped = pairs.directory.parent / "shipped"
    (pairs.directory / "preference").rename(shipped)
    monkeypatch.setattr(label_set, "REPOSITORY_PREFERENCES", shipped)
    assert load_preferences(pairs, "test").tolist() == answers(pairs)
    other = make_dataset(23, seed=9, name="other")
    other_s = r"no label set 'test' in .*shipped/test\.npy labels another dataset.*there are: none"
    with pytest.raises(PreferenceError, match=other_s):
        load_preferences(other, "test")
    with pytest.raises(PreferenceError, match=r"no label set 'mine' in .*there are: test"):
        load_preferences(pairs, "mine")


def test_the_dataset_s_own_label_set_comes_first(pairs, monkeypatch):
    annotate(pairs)
    own = pairs.directory / "preference"
    shipped = shutil.copytree(own, pairs.directory.parent / "shipped")
    np.save(shipped / "test.npy", np.zeros(len(pairs), np.int8))
    write_json(shipped / "test.json", {"dataset": pairs.fingerprint})
    monkeypatch.setattr(label_set, "REPOSITORY_PREFERENCES", shipped)
    assert load_preferences(pairs, "test").tolist() == answers(pairs)
    shutil.rmtree(own)
    assert not load_preferences(pairs, "test").any()


def test_an_installed_package_looks_in_the_working_directory(pairs, tmp_path):
    annotate(pairs)
    (pairs.directory / "preference").rename(tmp_path / "preference")
    packages = tmp_path / "site-packages"
    shutil.copytree(Path(motif.__file__).parent, packages / "motif")
    program = (
        "import motif.preference.label_set as p; from motif.pairs_dataset import PairsDataset as D;"
        f"print(p.__file__, *p.load_preferences(D({str(pairs.directory)!r}), 'test'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(packages)}

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )

    path, *labels = run(tmp_path).stdout.split()
    assert path.startswith(str(packages))
    assert [int(label) for label in labels] == answers(pairs)
    assert "no label set 'test'" in run(packages).stderr


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(22, np.int8), r"has shape \(22,\), but 23 labels are expected"),
        (np.zeros((23, 1), np.int8), r"has shape \(23, 1\), but 23"),
        (np.full(23, 4, np.int8), r"values other than 0, 1, 2, 3"),
        (np.full(23, -1, np.int8), r"values other than 0, 1, 2, 3"),
        (np.zeros(23, np.float32), r"values other than 0, 1, 2, 3"),
        (np.array([{}] * 23), r"cannot be read"),
    ],
)
def test_damaged_label_sets(pairs, labels, message):
    folder = pairs.directory / "preference"
    folder.mkdir()
    np.save(folder / "test.npy", labels, allow_pickle=True)
    with pytest.raises(PreferenceError, match=message):
        load_preferences(pairs, "test")


def test_labels_of_other_integer_types_are_read(pairs):
    folder = pairs.directory / "preference"
    folder.mkdir()
    np.save(folder / "test.npy", np.array(answers(pairs), np.int64))
    with pytest.warns(UserWarning, match="no provenance"):
        labels = load_preferences(pairs, "test")
    assert labels.dtype == np.int8
    assert labels.tolist() == answers(pairs)


def test_a_truncated_label_set(pairs):
    annotate(pairs)
    path = pairs.directory / "preference" / "test.npy"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(PreferenceError, match=r"test\.npy cannot be read .*annotate again"):
        load_preferences(pairs, "test")


@pytest.mark.parametrize("name", ["test.npy", "test.probs.npy"])
def test_a_flipped_bit_is_found(pairs, name):
    annotate(pairs, probabilities=True)
    path = pairs.directory / "preference" / name
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1  # from one label to another, or to a probability like any other
    path.write_bytes(raw)
    with pytest.raises(PreferenceError, match=rf"{name} is not as it was written .*restore it"):
        check_sum(path, "test")
    if name == "test.npy":
        with pytest.raises(PreferenceError, match=r"test\.npy is not as it was written"):
            load_preferences(pairs, "test")
        with pytest.raises(PreferenceError, match=r"test\.npy is not as it was written"):
            annotate(pairs)  # nothing is built on it
    assert annotate(pairs, probabilities=True, ignore_existing=True)[1] == []
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_a_truncated_set_can_be_started_over(pairs):
    annotate(pairs)
    path = pairs.directory / "preference" / "test.npy"
    path.write_bytes(path.read_bytes()[:-5])
    assert annotate(pairs, ignore_existing=True)[1] == []
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_damaged_probabilities_are_not_built_upon(pairs):
    annotate(pairs, probabilities=True)
    path = pairs.directory / "preference" / "test.probs.npy"
    np.save(path, np.zeros((22, 3), np.float32))
    with pytest.raises(
        PreferenceError, match=r"probs\.npy has shape \(22, 3\), expected \(23, 4\)"
    ):
        annotate(pairs, probabilities=True)
    path.write_bytes(b"")
    with pytest.raises(PreferenceError, match=r"probs\.npy cannot be read"):
        annotate(pairs, probabilities=True)


@pytest.mark.parametrize("content", ["{", "[]", "", "[" * 100_000])
def test_damaged_provenance(pairs, content):
    annotate(pairs)
    path = pairs.directory / "preference" / "test.json"
    path.write_text(content)
    with pytest.raises(PreferenceError, match=r"test\.json cannot be read"):
        check_provenance(path.with_suffix(".npy"), pairs)


def test_provenance_that_counts_otherwise(pairs):
    annotate(pairs)
    path = pairs.directory / "preference" / "test.json"
    provenance = json.loads(path.read_text())
    provenance["counts"]["tie"] += 1
    write_json(path, provenance)
    with pytest.raises(PreferenceError, match=r"test\.json counts .*--ignore-existing"):
        load_preferences(pairs, "test")


def damaged_part(pairs: PairsDataset, content) -> None:
    annotate(pairs, 0, 2, at_most=5)
    annotate(pairs, 1, 2)
    part = pairs.directory / "preference" / "test.parts" / "chunk-0-of-2.npy"
    if isinstance(content, int):
        part.write_bytes(part.read_bytes()[:content])
    else:
        np.save(part, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (135, r"chunk-0-of-2\.npy cannot be read .*--ignore-existing"),
        (0, r"chunk-0-of-2\.npy cannot be read"),
        (np.zeros(10, np.int8), r"has shape \(10,\), but 11 .*--ignore-existing"),
        (np.full(11, 7, np.int8), r"values other than 0, 1, 2, 3"),
    ],
)
def test_a_damaged_part_is_named_and_can_be_started_over(pairs, content, message):
    damaged_part(pairs, content)
    with pytest.raises(PreferenceError, match=message):
        annotate(pairs, 0, 2)
    assert annotate(pairs, 0, 2, ignore_existing=True) == (list(range(11)), [])
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_a_part_damaged_on_another_machine_is_named_when_merging(pairs):
    annotate(pairs, 0, 2)
    part = pairs.directory / "preference" / "test.parts" / "chunk-0-of-2.npy"
    part.write_bytes(part.read_bytes()[:-3])
    with pytest.raises(PreferenceError, match=r"chunk-0-of-2\.npy cannot be read"):
        annotate(pairs, 1, 2)


def test_a_damaged_state_is_named(pairs):
    annotate(pairs, 0, 2)
    (pairs.directory / "preference" / "test.parts" / "chunk-0-of-2.json").write_text("{")
    with pytest.raises(PreferenceError, match=r"chunk-0-of-2\.json cannot be read"):
        annotate(pairs, 1, 2)


@pytest.mark.parametrize("step", ["test.npy", "test.json"])
@pytest.mark.parametrize("merged_before", [False, True])
def test_a_crash_while_merging_loses_nothing(pairs, monkeypatch, step, merged_before):
    if merged_before:
        with PreferenceChunk(pairs, "test", SOURCE) as chunk:  # all unknown
            chunk.finish()
    annotate(pairs, 0, 2)
    replace = os.replace

    def replace_then_crash(source, target):
        replace(source, target)
        if Path(target).name == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace_then_crash)
    with pytest.raises(KeyboardInterrupt):
        annotate(pairs, 1, 2)
    monkeypatch.setattr(os, "replace", replace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert annotate(pairs, 1, 2) == ([], [])
    assert load_preferences(pairs, "test").tolist() == answers(pairs)
    assert not (pairs.directory / "preference" / "test.parts").exists()


SLOW_ANNOTATOR = """
import sys, time
import numpy as np
from motif.annotate.annotator import Annotator, Answers, annotate_chunk
from motif.pairs_dataset import PairsDataset
from motif.preference.chunk import PreferenceChunk

class Slow(Annotator):
    source, keys = {"type": "test", "goal": "defaultgoal"}, ("message",)
    def annotate(self, pairs, indices):
        for index in indices.tolist():
            time.sleep(0.01)
            yield Answers(np.array([index]), np.array([(index * 7 + index // 3) % 3]))

pairs, chunk = PairsDataset(sys.argv[1]), int(sys.argv[2])
with PreferenceChunk(pairs, "test", Slow.source, chunk=chunk, chunks=2) as opened:
    annotate_chunk(pairs, Slow(), opened, flushing_freq=10)
"""


def start(pairs: PairsDataset, chunk: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_ANNOTATOR, str(pairs.directory), str(chunk)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )


def wait_for_labels(pairs: PairsDataset, chunk: int, count: int) -> None:
    part = pairs.directory / "preference" / "test.parts" / f"chunk-{chunk}-of-2.npy"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if part.exists() and (np.load(part) != UNKNOWN).sum() >= count:
            return
        time.sleep(0.005)
    raise AssertionError("no labels were written")


def test_killed_with_9_in_the_middle_of_a_chunk_then_resumed(make_dataset):
    pairs = make_dataset(200)
    run = start(pairs, 0)
    wait_for_labels(pairs, 0, 5)
    with pytest.raises(PreferenceError, match="another run is writing"):  # a real second process
        annotate(pairs, 0, 2)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert annotate(pairs, 1, 2)[1] == [0]
    asked, missing = annotate(pairs, 0, 2)  # the dead process holds no lock
    assert 0 < len(asked) <= 95
    assert missing == []
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_two_processes_write_two_chunks_and_one_of_them_merges(make_dataset):
    pairs = make_dataset(60)
    runs = [start(pairs, chunk) for chunk in range(2)]
    errors = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    assert load_preferences(pairs, "test").tolist() == answers(pairs)
    assert not (pairs.directory / "preference" / "test.parts").exists()


def test_an_exception_keeps_the_labels_so_far(pairs):
    with pytest.raises(ZeroDivisionError, match="division"):
        with PreferenceChunk(pairs, "test", SOURCE) as chunk:
            chunk.labels[:4] = answers(pairs)[:4]
            1 // 0  # noqa: B018
    assert annotate(pairs)[0] == list(range(4, 23))


def fail(pairs: PairsDataset, chunk: int, chunks: int, **settings) -> None:
    with pytest.raises(ZeroDivisionError, match="division"):
        with PreferenceChunk(pairs, "test", SOURCE, chunk=chunk, chunks=chunks, **settings):
            1 // 0  # noqa: B018


def test_a_run_that_labelled_nothing_binds_nobody_to_its_chunks(pairs):
    fail(pairs, 0, 1, probabilities=True)
    assert not (pairs.directory / "preference" / "test.parts").exists()
    annotate(pairs, 0, 3)
    fail(pairs, 1, 3)
    annotate(pairs, 1, 3)
    assert annotate(pairs, 2, 3)[1] == []
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_a_chunk_to_be_made_anew_stays_so_when_a_run_fails(pairs):
    annotate(pairs)
    fail(pairs, 0, 1, ignore_existing=True)
    assert annotate(pairs)[0] == list(range(23))


def test_a_disk_without_locks_is_warned_about(pairs, monkeypatch):
    def no_locks(file, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(chunk_module.fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match="no file locks on the disk of .*: run it once"):
        assert annotate(pairs)[1] == []
    assert load_preferences(pairs, "test").tolist() == answers(pairs)


def test_what_made_a_label_set(make_labelled_dataset):
    pairs = make_labelled_dataset(8)  # "toy" has no provenance
    with PreferenceChunk(pairs, "own", SOURCE) as chunk:
        chunk.labels[:] = TIE
        chunk.finish()
    assert label_source(pairs, "own") == SOURCE
    assert label_source(pairs, "toy") == {}
    with pytest.raises(PreferenceError, match="no label set 'nobody'"):
        label_source(pairs, "nobody")


def test_probabilities_are_found_where_their_labels_are(pairs, tmp_path, monkeypatch):
    annotate(pairs, probabilities=True)
    own, shipped = pairs.directory / "preference", tmp_path / "shipped"
    monkeypatch.chdir(tmp_path)
    for place in (own, shipped, tmp_path / "preference"):
        if place != own:
            own.rename(place)
        monkeypatch.setattr(label_set, "REPOSITORY_PREFERENCES", shipped)
        assert (load_probabilities(pairs, "test") == np.eye(3)[answers(pairs)]).all()
        own = place


def test_probabilities_of_another_dataset_are_refused(pairs, make_dataset, monkeypatch):
    """They were taken if only their length fitted, from the repository's folder too."""
    annotate(pairs, probabilities=True)
    other = make_dataset(23, seed=9, name="other")
    shipped = shutil.copytree(pairs.directory / "preference", pairs.directory.parent / "shipped")
    monkeypatch.setattr(label_set, "REPOSITORY_PREFERENCES", shipped)
    with pytest.raises(PreferenceError, match=r"shipped/test\.npy labels another dataset"):
        load_probabilities(other, "test")
    annotate(other)  # labels of its own, without probabilities
    missing = r"'test' has no probabilities \(\S+/other/preference/test\.probs\.npy is missing\)"
    with pytest.raises(PreferenceError, match=missing):
        load_probabilities(other, "test")
    shutil.copytree(shipped, other.directory / "preference", dirs_exist_ok=True)
    with pytest.raises(PreferenceError, match=r"test\.npy labels another dataset \(.*; this one"):
        load_probabilities(other, "test")


def test_probabilities_of_an_earlier_set_are_refused(pairs):
    annotate(pairs, probabilities=True)
    annotate(pairs, source={**SOURCE, "goal": "gold"}, ignore_existing=True)
    with pytest.raises(PreferenceError, match=r"test\.probs\.npy is not as it was written"):
        load_probabilities(pairs, "test")

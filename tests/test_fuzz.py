"""Whatever the bytes: an answer, or a MotifError that names the file. No crash, no hang.

Some hundred inputs each in the suite; ``pytest tests/test_fuzz.py --hypothesis-profile fuzz`` takes
100,000. docs/reliability.md has the figures.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
import pickle
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motif import messages
from motif.annotate.answers import AnswerParser
from motif.annotate.cache import AnswerCache
from motif.annotate.prompt import load_prompt, load_shipped_prompt
from motif.annotate.rules import load_rules
from motif.collect.collection import collect
from motif.collect.settings import CollectionConfig
from motif.data_files import read_array
from motif.errors import DamagedFileError, MotifError
from motif.games.nethack.adapter import NetHack
from motif.preference.chunk import PreferenceChunk
from motif.preference.label_set import load_preferences
from motif.preference.labels import Preference
from motif.results.episodes import read_episodes
from motif.results.results_file import read_results, write_results
from motif.reward.release import read_quantiles

fuzzed = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pytestmark = pytest.mark.filterwarnings("ignore")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@contextlib.contextmanager
def refused_by_name(path: Path) -> Iterator[None]:
    """A MotifError is fine if it names the file; anything else is not."""
    try:
        yield
    except MotifError as error:
        assert str(path.parent) in str(error), error


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` with bytes changed, cut out, put in or repeated."""
    raw = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        stop = draw(st.integers(start, min(start + 40, len(raw))))
        raw[start:stop] = draw(st.binary(max_size=8) | st.just(bytes(raw[start:stop] * 2)))
    return bytes(raw)


# Texts

WORDS = st.sampled_from(
    ['("best_description": ', "1", "2", "None", "/", " or ", ")", '"', "\n", "12", "best", "(", "*"]
)


@fuzzed
@given(st.text() | st.lists(WORDS | st.text(max_size=5), max_size=60).map("".join))
def test_answers(text):
    for version in ("default", "reworded"):
        label = PARSERS[version](text)
        assert label in (None, Preference.FIRST, Preference.SECOND, Preference.TIE)


PARSERS = {
    version: AnswerParser(load_shipped_prompt(version, "defaultgoal"))
    for version in ("default", "reworded")
}


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Of this process's own CPU time, whatever else the machine does."""

    def stop(number: int, frame: object) -> None:
        raise AssertionError(f"not done after {seconds} CPU seconds")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_a_pattern_that_never_ends_is_stopped():
    with pytest.raises(AssertionError, match=r"not done after 0\.1 CPU seconds"), at_most(0.1):
        re.match("(a|a)*b", "a" * 40)


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        ('("best_description": 1)\n', Preference.FIRST),
        ('("best_description": ', None),
        ("(", None),
        ("1/2/", None),
        ('"\n', None),
        (", or ", None),
        ("none ", None),
    ],
)
def test_long_answers_take_no_time(piece, expected):
    """100,000 characters of what the patterns look for."""
    with at_most(10):
        assert PARSERS["default"](piece * (100_000 // len(piece))) == expected
        PARSERS["reworded"](piece * (100_000 // len(piece)))


@fuzzed
@given(st.binary(max_size=400))
def test_messages(raw):
    text = messages.decode(raw)
    assert messages.decode(messages.encode(text)) == text[: messages.MESSAGE_LENGTH]
    shown = messages.printable(text)
    assert all(character.isprintable() or character == "\n" for character in shown)


@fuzzed
@given(st.text())
def test_texts_of_models_and_terminals(text):
    shown = messages.printable(text)
    assert "\x1b" not in shown and "\x9b" not in shown and "\r" not in shown
    messages.encode(text)
    shown.encode("utf-8")  # no lone surrogate: it can be written anywhere


# Files

PROMPT, RULES_TEXT = (NetHack.prompts / "default.yaml").read_bytes(), NetHack.rules.read_bytes()
YAML_VALUES = JSON.map(lambda value: yaml.safe_dump(value).encode("utf-8", "replace"))


@fuzzed
@given(st.binary() | damaged(PROMPT) | YAML_VALUES)
def test_prompt_files(tmp_path, content):
    path = tmp_path / "prompt.yaml"
    path.write_bytes(content)
    with refused_by_name(path):
        asked = load_prompt(path, "defaultgoal").conversation("$caption_2", "{}")[-1]
        assert "$caption_2" in asked["content"] and "{}" in asked["content"]


@fuzzed
@given(st.text() | damaged(RULES_TEXT).map(lambda raw: raw.decode("latin-1")))
def test_rules_files(text):
    with refused_by_name(NetHack.rules):
        rules = load_rules(text, "defaultgoal", NetHack.rules)
        assert rules and all(math.isfinite(rule.value) for rule in rules)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


LABELS = npy(np.arange(12, dtype=np.int8) % 4)
OBJECTS = npy(np.array([{}, "a", None] * 4, dtype=object))


@fuzzed
@given(st.binary() | damaged(LABELS) | damaged(OBJECTS), st.sampled_from([None, "r"]))
def test_arrays(tmp_path, content, mmap_mode):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with refused_by_name(path):
        assert read_array(path, mmap_mode).dtype != object


@fuzzed
@given(
    labels=st.just(LABELS) | st.binary() | damaged(LABELS),
    provenance=st.none() | st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_label_sets(make_dataset, labels, provenance):
    pairs = DATASETS.get("pairs") or DATASETS.setdefault("pairs", make_dataset(12))
    folder = pairs.directory / "preference"
    folder.mkdir(exist_ok=True)
    (folder / "toy.npy").write_bytes(labels)
    (folder / "toy.json").unlink(missing_ok=True)
    if provenance is not None:
        (folder / "toy.json").write_bytes(provenance)
    with refused_by_name(folder / "toy.npy"):
        assert set(load_preferences(pairs, "toy").tolist()) <= {0, 1, 2, 3}


FRESH = itertools.count()
DATASETS: dict[str, object] = {}


@fuzzed
@given(content=JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_states_of_chunks(make_dataset, content):
    pairs = make_dataset(4, name=f"states-{next(FRESH) % 5}")
    parts = pairs.directory / "preference" / "toy.parts"
    parts.mkdir(parents=True, exist_ok=True)
    (parts / "chunk-1-of-2.json").write_bytes(content)
    with refused_by_name(parts / "chunk"), PreferenceChunk(pairs, "toy", {}, chunks=2) as chunk:
        chunk.labels[:] = 0
        chunk.finish()
        assert np.load(parts / "chunk-0-of-2.npy").tolist() == [0, 0]


RESULTS = {"task": {"motif": {"timesteps": [[0, 1], [2]], "returns": [[0.5, 1.0], [2.0]]}}}
CURVES = st.dictionaries(
    st.text(),
    st.dictionaries(
        st.text(),
        st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False)), max_size=3).map(
            lambda seeds: {"timesteps": seeds, "returns": seeds}
        ),
        max_size=3,
    ),
    max_size=3,
)


@fuzzed
@given(st.binary() | damaged(pickle.dumps(RESULTS)) | JSON.map(pickle.dumps))
def test_results_files(tmp_path, content):
    path = tmp_path / "results.pkl"
    path.write_bytes(content)
    with refused_by_name(path):
        write_results(path, read_results(path))


@fuzzed
@given(CURVES)
def test_results_come_back(tmp_path, results):
    write_results(tmp_path / "results.pkl", results)
    assert read_results(tmp_path / "results.pkl") == results


EPISODES = b"env_steps,return,length\n64,1.5,20\n128,-2,3\n"


@fuzzed
@given(st.binary() | damaged(EPISODES))
def test_episodes(tmp_path, content):
    path = tmp_path / "episodes.csv"
    path.write_bytes(content)
    with refused_by_name(path):
        columns = read_episodes(path)
        assert all(np.isfinite(column).all() for column in columns.values())


ANSWER = [0.5, 0.25, 0.25, 0.9]
SEAL = b"a70d2275"  # of the answer under its key
CACHED = b'["00ff", [0.5, 0.25, 0.25, 0.9], "%b"]\n' % SEAL


@fuzzed
@given(st.just(CACHED) | st.binary() | damaged(CACHED))
def test_answer_caches(tmp_path, content):
    """The answer that was given, or none; a line that lost its seal whole is one of before."""
    (tmp_path / "a.jsonl").write_bytes(content)
    cache = AnswerCache(tmp_path)
    assert cache.get(b"\x00\xff") == ANSWER or content != CACHED
    assert cache.get(b"\x00\xff") in (None, ANSWER) or SEAL not in content
    cache.close()


QUANTILES = b"0.05,0.10\n-1,2\n0.5,0.6\n"


@fuzzed
@given(st.just(QUANTILES) | st.binary() | damaged(QUANTILES))
def test_quantiles_of_the_release(tmp_path, content):
    path = tmp_path / "reward_metrics" / "train_norm_quantiles.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    (tmp_path / "val_metrics.csv").write_text("iteration,loss\n0,1\n157,0.5\n")
    if content == QUANTILES:
        assert read_quantiles(tmp_path, 157) == {"0.05": 0.5, "0.10": 0.6}
    with refused_by_name(path.parent):
        quantiles = read_quantiles(tmp_path, 0)
        assert all(re.fullmatch(r"-?\d+\.\d\d", level) for level in quantiles)
        assert np.isfinite(list(quantiles.values())).all()


@fuzzed
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_settings_of_collections(tmp_path, content):
    path = tmp_path / "begun" / "collection.json"
    (path.parent / "data").mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

    def nobody(environment: object) -> object:
        raise AssertionError("nothing is to be played")

    with pytest.raises(MotifError, match=re.escape(str(path.parent))):
        collect(CollectionConfig(directory=str(path.parent)), nobody)


@fuzzed
@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_settings_of_runs(tmp_path, content):
    pytest.importorskip("sample_factory")
    from motif.results.runs import ADDED_LATER
    from sample_factory_ext.run_folder import check_resumable, read_run_config

    (tmp_path / "config.json").write_bytes(content)
    with refused_by_name(tmp_path / "config.json"):
        assert check_resumable(tmp_path) == 0
        assert read_run_config(tmp_path) == {**ADDED_LATER, **json.loads(content)}


@fuzzed
@given(
    st.binary() | damaged(b"env_steps,return\n64,1.5,20,0,0.3,1.5,0,0,0,0\n64,1,1,1,1,1,1,1,1,1\n")
)
def test_episodes_when_a_run_goes_on(tmp_path, content):
    pytest.importorskip("sample_factory")
    from motif.games.nethack.adapter import NetHack
    from sample_factory_ext.run_folder import EPISODE_COLUMNS, EpisodeLog

    (tmp_path / "episodes.csv").write_bytes(content)
    EpisodeLog(tmp_path, 100, NetHack.info_columns)
    with contextlib.suppress(DamagedFileError):
        assert set(read_episodes(tmp_path / "episodes.csv")) == {
            *EPISODE_COLUMNS,
            *NetHack.info_columns,
        }

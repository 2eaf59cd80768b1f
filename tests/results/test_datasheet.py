"""What is said of a dataset, and where it is written."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from motif import messages
from motif.atomic_write import write_json
from motif.errors import ConfigError, DatasetError, PreferenceError
from motif.games.nethack.kinds import KINDS
from motif.preference.chunk import PreferenceChunk
from motif.results.dataset_facts import Distribution, gather_facts
from motif.results.datasheet import BEGIN, END, draw_datasheet, to_markdown, write_between_markers
from scripts import describe_dataset

MESSAGES = [  # first side, second side
    ("You kill the newt!", "You destroy the zombie!"),
    ("You kill the newt!", "You kill the newt!"),
    ("", ""),
    ("", "k - a scroll.  $ - 12 gold pieces."),
    ("You descend the stairs.", "The little dog kills the newt."),
    ("Welcome to experience level 2.", "a | b `c` ``d``"),
]


@pytest.fixture
def pairs(make_dataset):
    """Six pairs with known messages and status; without ``collection.json``, as the release's."""
    dataset = make_dataset(6)
    encoded = [[[messages.encode(text)] for text in pair] for pair in MESSAGES]
    np.save(dataset.path("message"), np.array(encoded))
    status = np.ones((6, 2, 1, 26), np.int64)
    status[:, 1, :, 12] = 3
    status[5, 1, :, 20] = 900
    np.save(dataset.path("blstats"), status)
    np.save(dataset.path("score"), np.arange(12).reshape(6, 2))
    return dataset


def test_counts_of_messages(pairs):
    facts = gather_facts(pairs.directory)
    assert (facts.pairs, facts.seq_len, facts.observations) == (6, 1, 12)
    texts = [messages.decode(message) for message in facts.messages_UC]
    assert texts[:3] == ["You kill the newt!", "", "You destroy the zombie!"]
    assert facts.counts_U.tolist() == [3, 3, 1, 1, 1, 1, 1, 1]
    assert facts.empty_messages == 3
    assert facts.identical_pairs == 2
    expected = {"kills a monster": 2, "takes gold": 1, "goes down": 1, "gains a level": 1}
    assert facts.pairs_with == dict.fromkeys(KINDS, 0) | expected | {"takes an item": 1}


def test_distributions(pairs):
    found = gather_facts(pairs.directory).distributions
    assert found["depth"].values.tolist() == [1, 3]
    assert found["depth"].counts.tolist() == [6, 6]
    assert found["turn"].values.tolist() == [1, 900]
    assert found["turn"].counts.tolist() == [11, 1]
    assert found["game's score"].mean == 5.5
    assert list(found) == ["depth", "experience level", "turn", *list(found)[3:]]
    assert len(found) == 6


def test_longer_sides_are_compared_whole(make_dataset):
    dataset = make_dataset(2, seq_len=2)
    steps = [[["a", "b"], ["a", "b"]], [["a", "b"], ["a", "You kill it!"]]]
    encoded = [[[messages.encode(text) for text in side] for side in pair] for pair in steps]
    np.save(dataset.path("message"), np.array(encoded))
    facts = gather_facts(dataset.directory)
    assert facts.identical_pairs == 1
    assert facts.observations == 8
    assert facts.pairs_with["kills a monster"] == 1


def test_a_pet_killed_by_the_player_is_no_kill(make_dataset):
    dataset = make_dataset(2)
    texts = ("You kill the poor kitten!", "You kill poor Fido!", "You kill the newt!", "")
    encoded = np.array([messages.encode(text) for text in texts])
    np.save(dataset.path("message"), encoded.reshape(2, 2, 1, 256))
    assert gather_facts(dataset.directory).pairs_with["kills a monster"] == 1


def test_a_distribution():
    assert np.isnan(Distribution().mean)
    assert np.isnan(Distribution().quantiles([0.5])).all()
    distribution = Distribution(np.array([[3, 1, 2, 3, 3]]))
    assert distribution.values.tolist() == [1, 2, 3]
    assert distribution.counts.tolist() == [1, 1, 3]
    assert distribution.mean == pytest.approx(2.4)
    assert distribution.quantiles([0, 0.2, 0.21, 0.4, 0.41, 1]) == [1, 1, 2, 2, 3, 3]


def test_a_datasheet_of_messages_alone(pairs):
    for key in ("blstats", "score", "turns", "experience_level", "tty_chars", "rewards"):
        pairs.path(key).unlink()
    facts = gather_facts(pairs.directory)
    assert facts.distributions == {}
    text = to_markdown(facts)
    assert "There is no `collection.json` that would say so." in text
    assert "| pairs with the same message | 2 | 33.33 % |" in text
    assert "| pairs where the player takes gold | 1 | 16.67 % |" in text
    assert "### Labels\n\nThere are none yet." in text


def test_an_empty_dataset(pairs, tmp_path):
    for key in pairs.arrays:
        np.save(pairs.path(key), pairs[key][:0])
    facts = gather_facts(pairs.directory)
    assert "| pairs | 0 |  |" in to_markdown(facts)
    draw_datasheet(tmp_path / "picture.png", facts)


def test_messages_cannot_break_the_table(pairs):
    text = to_markdown(gather_facts(pairs.directory))
    assert "| ``` a \\| b `c` ``d`` ``` | 1 | 8.33 % |" in text
    assert "| `(empty message)` | 3 | 25.00 % |" in text


@pytest.mark.parametrize("as_list", [False, True])
def test_who_played(pairs, as_list):
    figures = {"games": 1200, "observations": 90, "mean_score": 45.25, "mean_deepest_level": 4.0}
    players = [{"name": "explorer", **figures}] if as_list else {"explorer": figures}
    settings = {"num_pairs": 6, "policy": ["a b", "c"], "checkpoint": None, "ttyrec": []}
    content = {"settings": settings, "games": 1200, "dates": ["2026-01-02"], "players": players}
    write_json(pairs.directory / "collection.json", content)
    text = to_markdown(gather_facts(pairs.directory))
    assert "    --num_pairs 6 \\\n    --policy 'a b' c\n```" in text
    assert "1,200 games, – observations, mean score –; NLE unknown; played on 2026-01-02." in text
    assert "| explorer | 1,200 | 90 | 45.2 | – | 4 |" in text


def test_label_sets_are_counted(pairs):
    with PreferenceChunk(pairs, "toy", {}) as chunk:
        chunk.labels[:] = [0, 1, 1, 2, 2, 2]
        chunk.finish()
    np.save(pairs.directory / "preference" / "of_the_release.npy", np.full(6, 3, np.int8))
    text = to_markdown(gather_facts(pairs.directory))
    assert "| `of_the_release` | 0 | 0 | 0 | 6 |\n| `toy` | 1 | 2 | 3 | 0 |" in text
    np.save(pairs.directory / "preference" / "toy.npy", np.zeros(5, np.int8))
    with pytest.raises(PreferenceError, match=r"has shape \(5,\)"):
        gather_facts(pairs.directory)


@pytest.mark.parametrize("content", ["{", "\xff"])
def test_a_damaged_collection(pairs, content):
    (pairs.directory / "collection.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DatasetError, match=r"collection\.json cannot be read .*restore or delete"):
        gather_facts(pairs.directory)


def test_what_is_written_around_the_markers_stays(tmp_path):
    path = tmp_path / "README.md"
    write_between_markers(path, "first")
    assert path.read_text() == f"{BEGIN}\n\nfirst\n{END}\n"
    path.write_text(f"# Title\n\n{path.read_text()}\nKnown gaps.\n")
    write_between_markers(path, "second")
    assert path.read_text() == f"# Title\n\n{BEGIN}\n\nsecond\n{END}\n\nKnown gaps.\n"


@pytest.mark.parametrize(
    "content", ["by hand", BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"]
)
def test_a_file_without_markers_is_left_alone(tmp_path, content):
    path = tmp_path / "README.md"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"README\.md is there and must have these two lines"):
        write_between_markers(path, "text")
    assert path.read_text() == content


@pytest.mark.nle
def test_the_command_on_a_collected_dataset(tmp_path, capsys, monkeypatch):
    pytest.importorskip("nle")
    from scripts import annotate_pairs_dataset, collect_pairs_dataset

    monkeypatch.chdir(tmp_path)
    collect = ["--num_pairs", "60", "--max-episode-steps", "100"]
    assert collect_pairs_dataset.main(collect) == 0
    annotate = ["--directory", "motif_dataset", "--annotator-type", "rules"]
    assert annotate_pairs_dataset.main(annotate) == 0
    capsys.readouterr()
    arguments = ["--output", "docs/datasheet.md", "--picture", "pictures/dataset.png"]
    assert describe_dataset.main(arguments) == 0
    assert "60 pairs described in docs/datasheet.md" in capsys.readouterr().out
    text = (tmp_path / "docs" / "datasheet.md").read_text()
    assert "![messages, levels, scores, labels](../pictures/dataset.png)" in text
    counts = json.loads(
        (tmp_path / "motif_dataset" / "preference" / "rules_msg_defaultgoal.json").read_text()
    )["counts"]
    assert f"| `rules_msg_defaultgoal` | {counts['first']} | {counts['second']} |" in text
    png = (tmp_path / "pictures" / "dataset.png").read_bytes()
    assert struct.unpack(">II", png[16:24]) == (1600, 1000)
    assert describe_dataset.main([]) == 0
    assert "| pairs | 60 |  |" in capsys.readouterr().out
    assert describe_dataset.main(["--check"]) == 0
    assert "arrays in motif_dataset are as collected: 1 MB, " in capsys.readouterr().out


def test_mistakes_end_in_one_line(tmp_path, capsys):
    assert describe_dataset.main(["--directory", str(tmp_path / "nowhere")]) == 2
    assert "error: no dataset in " in capsys.readouterr().err
    assert describe_dataset.main(["--check", "--directory", str(tmp_path / "nowhere")]) == 2
    assert "error: no dataset in " in capsys.readouterr().err

"""Ratings: prompts, what answers amount to, and label sets made of them."""

from __future__ import annotations

import contextlib
import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scripted_chat import WORTH, ScriptedChatModel

from motif.annotate.annotator import share_ties
from motif.annotate.captions import captioned_pairs
from motif.annotate.chat import Reply, Request
from motif.annotate.config import GOALS
from motif.annotate.prompt import prompt_versions
from motif.annotate.rating import distinct_captions
from motif.annotate.rating_prompt import RatingPrompt, load_rating_prompt
from motif.errors import ConfigError
from motif.games.nethack.adapter import NetHack
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference
from scripts.annotate_pairs_dataset import main
from scripts.unpack_dataset import main as unpack

MakeDataset = Callable[..., PairsDataset]
NAME = "llama70b_msg_defaultgoal_rating"
TWO = RatingPrompt("test", "Rate.", {"good": 1.0, "bad": -1.0}, {"You win!": "good"})
DIGITS = RatingPrompt("test", "Rate.", {"1": 1.0, "2": 2.0, "3": 3.0}, {})


def odds(text: str) -> float:
    """What the scripted model thinks of a message, as log-odds."""
    return next((4.0 - i for i, word in enumerate(WORTH) if word in text), -2.0)


class Rater(ScriptedChatModel):
    """Rates by ``odds``; its answers cover ``mass``."""

    mass = 0.9
    refuse = ""

    def answer(self, request: Request) -> Reply:
        caption = request.messages[-1]["content"]
        if self.refuse and self.refuse in caption:
            return Reply(request.tag, "", 0, 0, refused="content_filter")
        good = 1 / (1 + math.exp(-odds(caption)))
        likely = [("good", good * self.mass), (" Bad", (1 - good) * self.mass), ("hm", 0.01)]
        return Reply(request.tag, "good", 10, 1, [(word, math.log(p)) for word, p in likely])


@pytest.fixture
def rater(monkeypatch: pytest.MonkeyPatch) -> Rater:
    model = Rater()
    monkeypatch.setattr("motif.annotate.assemble.make_chat_model", lambda config: model)
    monkeypatch.setattr("motif.annotate.stage.make_chat_model", lambda config: model)
    return model


def rate(pairs: PairsDataset, *flags: str) -> int:
    return main(["--directory", str(pairs.directory), "--answer-mode", "rating", *flags])


def labels(pairs: PairsDataset) -> np.ndarray:
    return np.load(pairs.directory / "preference" / f"{NAME}.npy")


def expected(pairs: PairsDataset, margin: float = 0.0) -> list[Preference]:
    found = []
    for pair in captioned_pairs(pairs, np.arange(len(pairs))):
        ahead = odds(pair.first) - odds(pair.second)
        better = Preference.FIRST if ahead > 0 else Preference.SECOND
        found.append(Preference.TIE if abs(ahead) <= margin else better)
    return found


# Prompts


@pytest.mark.parametrize("version", prompt_versions(NetHack.prompts, rating=True))
@pytest.mark.parametrize("goal", GOALS)
def test_shipped_prompts_share_all_but_the_last_turn(version: str, goal: str) -> None:
    prompt = load_rating_prompt(NetHack.prompts / f"{version}.yaml", goal)
    one, other = prompt.conversation("It's a wall."), prompt.conversation("")
    assert one[:-1] == other[:-1]
    assert [one[-1]["content"], other[-1]["content"]] == ["It's a wall.", "(no message)"]
    assert [turn["role"] for turn in one] == ["system", *["user", "assistant"] * 40][: len(one)]
    assert set(prompt.examples.values()) <= set(prompt.values)
    assert len({prompt.values[answer] for answer in prompt.examples.values()}) > 1
    assert "$" not in prompt.system


def test_examples_are_no_common_messages(tmp_path: Path) -> None:
    """A message that is an example is rated as the example is."""
    assert unpack(["--directory", str(tmp_path)]) == 0
    pairs = PairsDataset(tmp_path / "motif_dataset")
    with distinct_captions(captioned_pairs(pairs, np.arange(len(pairs)))) as captions:
        times = dict(captions)
    for version in prompt_versions(NetHack.prompts, rating=True):
        for goal in GOALS:
            prompt = load_rating_prompt(NetHack.prompts / f"{version}.yaml", goal)
            assert all(times.get(message, 0) < 10 for message in prompt.examples)


def test_without_a_system_turn_the_first_message_begins_with_its_text() -> None:
    path = NetHack.prompts / "rating.yaml"
    with_turn = load_rating_prompt(path, "gold").conversation("x")
    without = load_rating_prompt(path, "gold", system_prompt=False).conversation("x")
    assert without[0]["content"] == f"{with_turn[0]['content']}\n\n{with_turn[1]['content']}"
    assert without[1:] == with_turn[2:]


@pytest.mark.parametrize(
    ("prompt", "first_token", "masses"),
    [
        (TWO, [("good", 0.5), (" Good", 0.25), ("bad", 0.1), ("b", 0.05)], [0.75, 0.15]),
        (TWO, [("I", 0.9)], [0.0, 0.0]),
        (TWO, [('"bad', 0.5), ("", 0.1), (" ", 0.1), ("goodness", 0.2)], [0.0, 0.5]),
        (DIGITS, [("1", 0.5), ("3", 0.25), ("12", 0.25)], [0.5, 0.0, 0.25]),
    ],
)
def test_masses(
    prompt: RatingPrompt, first_token: list[tuple[str, float]], masses: list[float]
) -> None:
    candidates = [(text, math.log(p)) for text, p in first_token]
    assert prompt.masses(candidates) == pytest.approx(masses)


@pytest.mark.parametrize(
    ("prompt", "masses", "rating"),
    [
        (TWO, [0.6, 0.2], math.log(3)),
        (TWO, [0.2, 0.6], -math.log(3)),
        (TWO, [0.5, 0.0], math.log(0.5 / 1e-6)),
        (RatingPrompt("", "", {"no": 0.0, "yes": 1.0}, {}), [0.1, 0.4], math.log(4)),
        (DIGITS, [0.2, 0.0, 0.2], 2.0),
        (DIGITS, [0.0, 0.1, 0.3], 2.75),
    ],
)
def test_ratings(prompt: RatingPrompt, masses: list[float], rating: float) -> None:
    assert prompt.rating(masses) == pytest.approx(rating)


GOOD_FILE = """\
version: mine
system: Rate it. $goal
ratings: {good: 1, bad: 0}
goals: {gold: More gold.}
examples:
  gold:
    You win!: good
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("$goal", "", "line 2: 'system' lacks the placeholder $goal"),
        ("good: 1", "good: much", "line 3: 'good' must be worth a number, not 'much'"),
        ("good: 1", "good: .nan", "line 3: 'good' must be worth a number, not '.nan'"),
        ("good: 1", "good: nan", "line 3: 'ratings' needs answers of two values"),
        ("good: 1", "good: 0", "line 3: 'ratings' needs answers of two values"),
        ("win!: good", "win!: fine", "line 5: the answer to 'You win!' is 'fine'"),
        ("win!: good", "win!: [good]", "line 7: 'You win!' must be a text"),
        ("{gold: More gold.}", "{iron: More.}", "no goal 'gold'"),
        ("version", "template", "line 1: unknown key 'template'"),
        ("examples:\n  gold:\n    You win!: good\n", "", "ends without the key 'examples'"),
    ],
)
def test_wrong_files_name_their_line(tmp_path: Path, old: str, new: str, problem: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD_FILE)
    assert load_rating_prompt(path, "gold").system == "Rate it. More gold."
    assert old in GOOD_FILE
    path.write_text(GOOD_FILE.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_rating_prompt(path, "gold")
    assert problem in str(caught.value)


# Ties by share


@given(
    arrays(np.float32, (40,), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
)
def test_a_share_of_the_pairs_are_ties(first: np.ndarray, share: float) -> None:
    likely = np.stack([first, 1 - first, np.zeros_like(first)], axis=1)
    before = np.where(np.arange(40) % 5, Preference.FIRST, Preference.UNKNOWN).astype(np.int8)
    after = share_ties(before, likely, share)
    assert ((after == Preference.UNKNOWN) == (before == Preference.UNKNOWN)).all()
    ties, known = after == Preference.TIE, after != Preference.UNKNOWN
    assert ties.sum() >= math.floor(share * known.sum())  # more, where some are as close
    decided = np.abs(first - 0.5)[known & ~ties]
    assert not ties.any() or not len(decided) or decided.min() >= np.abs(first - 0.5)[ties].max()
    assert (first[after == Preference.FIRST] >= 0.5).all()
    assert (first[after == Preference.SECOND] <= 0.5).all()


# Label sets


def test_the_higher_rating_wins_and_each_caption_is_asked_once(
    make_dataset: MakeDataset, rater: Rater, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = make_dataset(200)
    assert rate(pairs, "--tie-margin", "0") == 0
    assert labels(pairs).tolist() == expected(pairs)
    sides = [p for p in captioned_pairs(pairs, np.arange(200)) if p.first != p.second]
    asked = [request.messages[-1]["content"] for request in rater.asked]
    assert len(asked) == len(set(asked)) == len({t for p in sides for t in (p.first, p.second)})
    told = json.loads((pairs.directory / f"preference/{NAME}.json").read_text())["source"]
    assert (told["answer_mode"], told["tie_margin"], told["rating_temperature"]) == ("rating", 0, 1)
    assert told["prompt"]["version"] == "rating"
    assert f"{NAME}.ratings.csv" in capsys.readouterr().out


def test_probabilities_are_bradley_terry(make_dataset: MakeDataset, rater: Rater) -> None:
    pairs = make_dataset(60)
    assert rate(pairs, "--rating-temperature", "2") == 0
    likely = np.load(pairs.directory / f"preference/{NAME}.probs.npy")
    for pair, (first, second, tie) in zip(captioned_pairs(pairs, np.arange(60)), likely[:, :3]):
        ahead = (odds(pair.first) - odds(pair.second)) / 2
        same = pair.first == pair.second
        expected = (0, 0, 1) if same else (1 / (1 + math.exp(-ahead)), 1 / (1 + math.exp(ahead)), 0)
        assert (first, second, tie) == pytest.approx(expected, abs=1e-6)


def test_by_default_a_tenth_are_ties_and_another_share_asks_nobody(
    make_dataset: MakeDataset, rater: Rater, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = make_dataset(400)
    assert rate(pairs) == 0
    closest = sum(label == Preference.TIE for label in expected(pairs))
    assert (labels(pairs) == Preference.TIE).sum() == max(40, closest)
    rater.asked.clear()
    assert rate(pairs, "--tie-share", "0.7", "--custom-annotator-string", "more") == 0
    assert not rater.asked
    assert "are ties, which teach little" in capsys.readouterr().out


def test_ratings_are_listed_best_first(make_dataset: MakeDataset, rater: Rater) -> None:
    pairs = make_dataset(100)
    assert rate(pairs) == 0
    with (pairs.directory / f"preference/{NAME}.ratings.csv").open() as file:
        rows = list(csv.DictReader(file))
    ratings = [float(row["rating"]) for row in rows]
    assert ratings == sorted(ratings, reverse=True)
    assert {row["caption"] for row in rows} >= {"You kill the newt!", "It's a wall.", ""}
    for row in rows:
        assert float(row["rating"]) == pytest.approx(odds(row["caption"]), abs=1e-3)
        assert float(row["covered_mass"]) == pytest.approx(0.9, abs=1e-3)


def test_what_is_rated_stays_so(make_dataset: MakeDataset, rater: Rater) -> None:
    """The commonest captions first; the rest by the same command without the limit."""
    pairs = make_dataset(200)
    limited = ["--tie-margin", "0", "--most-captions", "3"]
    assert rate(pairs, *limited) == 0
    assert len(rater.asked) == 3
    known = labels(pairs) != Preference.UNKNOWN
    assert 0 < known.sum() < 200
    assert (labels(pairs) == expected(pairs))[known].all()
    assert rate(pairs, "--tie-margin", "0") == 0
    asked = [request.messages[-1]["content"] for request in rater.asked]
    assert len(set(asked)) == len(asked) > 3
    assert labels(pairs).tolist() == expected(pairs)


def test_chunks_make_the_same_labels(make_dataset: MakeDataset, rater: Rater) -> None:
    whole, parts = make_dataset(90, name="whole"), make_dataset(90, name="parts")
    assert rate(whole, "--tie-margin", "1") == 0
    for chunk in ("2", "0", "1"):
        flags = ["--n-annotation-chunks", "3", "--chunk-number", chunk, "--tie-margin", "1"]
        assert rate(parts, *flags) == 0
    assert (labels(whole) == labels(parts)).all()
    whole_list, part_list = (
        (pairs.directory / f"preference/{NAME}.ratings.csv").read_text() for pairs in (whole, parts)
    )
    assert whole_list == part_list


def test_read_again_with_another_margin(make_dataset: MakeDataset, rater: Rater) -> None:
    pairs = make_dataset(100)
    assert rate(pairs, "--tie-margin", "0") == 0
    rater.asked.clear()
    assert rate(pairs, "--tie-margin", "3", "--reparse") == 0
    assert labels(pairs).tolist() == expected(pairs, 3.0)
    assert rate(pairs, "--tie-share", "0.6", "--reparse") == 0
    assert (labels(pairs) == Preference.TIE).sum() >= 60
    assert not rater.asked


def test_unlikely_answers_are_unknown(
    make_dataset: MakeDataset, rater: Rater, capsys: pytest.CaptureFixture[str]
) -> None:
    rater.mass = 0.3
    pairs = make_dataset(50)
    assert rate(pairs) == 0
    same = [p.first == p.second for p in captioned_pairs(pairs, np.arange(50))]
    assert ((labels(pairs) == Preference.UNKNOWN) == ~np.array(same)).all()
    assert rate(pairs, "--min-mass", "0.2", "--custom-annotator-string", NAME + "2") == 0
    assert len(rater.asked) < 20  # the same answers


def test_where_nothing_is_likely_few_are_asked(
    make_dataset: MakeDataset, rater: Rater, capsys: pytest.CaptureFixture[str]
) -> None:
    rater.mass = 0.1
    pairs = make_dataset(400, texts=[f"Message number {i}." for i in range(300)])
    assert rate(pairs) == 2
    assert len(rater.asked) == 64
    said = capsys.readouterr().err
    assert "none of the first 64 answers began with good or bad" in said
    assert "enable_thinking" in said


def test_a_refused_caption_leaves_its_pairs_unknown(
    make_dataset: MakeDataset, rater: Rater, capsys: pytest.CaptureFixture[str]
) -> None:
    rater.refuse = "newt"
    pairs = make_dataset(100)
    assert rate(pairs, "--tie-margin", "0") == 0
    captioned = list(captioned_pairs(pairs, np.arange(100)))
    newt = [("newt" in p.first) != ("newt" in p.second) for p in captioned]
    assert ((labels(pairs) == Preference.UNKNOWN) == newt).all()
    assert f"unknown for want of an answer: {sum(newt):,}" in capsys.readouterr().out


def test_shown_and_estimated(
    make_dataset: MakeDataset, rater: Rater, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = make_dataset(50)
    differs = next(p for p in captioned_pairs(pairs, np.arange(50)) if p.first > p.second > "")
    assert rate(pairs, "--show-prompt", str(differs.pair)) == 0
    said = capsys.readouterr().out
    assert said.index(f"--- user ---\n{differs.first}\n") < said.index(differs.second)
    assert rate(pairs, "--estimate", "--rate", "10") == 0
    assert "prompts to ask, each once: 9" in capsys.readouterr().out
    assert not rater.asked


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ("--tie-share 2", "--tie-share 2.0: a share, 0 to 1"),
        ("--tie-share 0.1 --tie-margin 0.1", "without --tie-margin"),
        ("--rating-temperature 0", "--rating_temperature must be above 0"),
        ("--most-captions 0", "--most_captions must be at least 1"),
        ("--logdir x", "takes no --no-dedupe and no --logdir"),
        ("--prompt-version default", "no prompt version 'default' that rates; there are: rating"),
    ],
)
def test_bad_flags(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str], flags: str, problem: str
) -> None:
    with contextlib.suppress(SystemExit):  # what the command line alone tells
        assert rate(make_dataset(5), *flags.split()) == 2
    assert problem in capsys.readouterr().err

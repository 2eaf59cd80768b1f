"""Hand-written rules as an annotator."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from motif import messages
from motif.annotate.annotator import annotate_chunk
from motif.annotate.rules import RulesAnnotator, load_rules
from motif.errors import ConfigError
from motif.games.nethack.adapter import NetHack
from motif.preference.chunk import PreferenceChunk
from motif.preference.label_set import load_preferences
from motif.preference.labels import Preference, prefer_larger

GOALS = ("defaultgoal", "zeroknowledge", "combat", "gold", "stairs")
FIRST, SECOND, TIE = Preference.FIRST, Preference.SECOND, Preference.TIE

BETTER_THEN_WORSE = [
    ("defaultgoal", "You kill the newt!", "The newt bites!"),
    ("defaultgoal", "You descend the stairs.", "You see here a dagger."),
    ("defaultgoal", "$ - 12 gold pieces.", "You see here a rock."),
    ("defaultgoal", "You kick the jackal.  You kill the jackal!", "You kick the jackal."),
    ("defaultgoal", "You find a hidden passage.", ""),
    ("defaultgoal", "k - a scroll labeled ZLORFIK.", "You see here a rock."),
    ("defaultgoal", "", "You can't move diagonally out of an intact doorway."),
    ("defaultgoal", "You see here 2 tripe rations.", "You stop.  Your dog is in the way!"),
    ("defaultgoal", "This food ration is delicious!", "You are beginning to feel hungry."),
    ("defaultgoal", "The door opens.", "WHAMM!!"),
    ("defaultgoal", "Welcome to experience level 2.", "You swap places with your kitten."),
    ("defaultgoal", "It's a wall.", "You die..."),
    ("defaultgoal", "You swap places with your kitten.", "You kill the poor kitten!"),
    ("zeroknowledge", "You feel tough!", "You feel clumsy!"),
    ("zeroknowledge", "You see here a rock.", ""),
    ("combat", "You hit the newt.", "$ - 12 gold pieces."),
    ("combat", "", "You descend the stairs."),
    ("gold", "$ - a gold piece.", "You kill the newt!"),
    ("gold", "", "You descend the stairs."),
    ("stairs", "You descend the stairs.", "$ - 12 gold pieces."),
    ("stairs", "There is a staircase down here.", "There is a staircase up here."),
    ("stairs", "A trap door opens up under you!", "You kill the newt!"),
    ("stairs", "", "You climb up the stairs."),
]


@pytest.mark.parametrize(("goal", "better", "worse"), BETTER_THEN_WORSE)
def test_what_a_player_would_prefer(goal, better, worse):
    annotator = RulesAnnotator(goal)
    assert annotator.value(better) > annotator.value(worse)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "You swap places with your little dog.",
        "The kitten picks up a gold piece.",
        "The kitten misses the newt.",
        "In what direction? ",
        "What do you want to eat? [fghi or ?*] ",
    ],
)
@pytest.mark.parametrize("goal", GOALS)
def test_what_tells_nothing_about_play_is_worth_nothing(goal, text):
    assert RulesAnnotator(goal).value(text) == 0


def test_patterns_do_not_take_one_thing_for_another():
    value = RulesAnnotator("defaultgoal").value
    assert value("You kick at empty space.") < 0  # no blow
    assert value("As you kick the door, it crashes open!") == value("The door opens.")
    assert value("A trap door in the ceiling opens and a rock falls on your head!") < 0
    assert value("THE NEWT BITES!") == value("The newt bites!")


def test_every_rule_matters_and_shows_an_example():
    entries = yaml.safe_load(NetHack.rules.read_text())["rules"]
    assert all("example" in entry for entry in entries)
    assert all(any(value for value in entry["values"].values()) for entry in entries)
    patterns = [entry["pattern"] for entry in entries]
    assert len(set(patterns)) == len(patterns)


def test_the_rules_say_what_they_are():
    assert "No LLM was asked" in NetHack.rules.read_text()


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=20),
)
def test_swapping_the_sides_flips_the_labels(values):
    value_BP = np.array(values)
    flipped = np.array([SECOND, FIRST, TIE])[prefer_larger(value_BP)]
    assert (prefer_larger(value_BP[:, ::-1]) == flipped).all()
    assert ((prefer_larger(value_BP) == TIE) == (value_BP[:, 0] == value_BP[:, 1])).all()


def test_sums_of_the_same_numbers_are_equal_in_any_order():
    one, other = 0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1
    assert one != other
    assert prefer_larger(np.array([[one, other]])) == [TIE]


def label(annotator, first, second):
    values = np.array([[[annotator.value(text) for text in side] for side in (first, second)]])
    return prefer_larger(values.mean(axis=2))[0]


def test_a_side_is_worth_the_mean_of_its_messages():
    annotator = RulesAnnotator("defaultgoal")
    good, bad = "You kill the newt!", "You kick at empty space."
    assert label(annotator, [good, ""], [bad, good]) == FIRST
    assert label(annotator, [good, bad], [bad, good]) == TIE


@pytest.mark.parametrize("goal", GOALS)
def test_a_dataset_gets_labels_and_provenance(make_dataset, goal):
    pairs = make_dataset(300)
    annotator = RulesAnnotator(goal)
    with PreferenceChunk(pairs, f"rules_msg_{goal}", annotator.source) as chunk:
        assert annotate_chunk(pairs, annotator, chunk, flushing_freq=64) == []
    labels = load_preferences(pairs, f"rules_msg_{goal}")
    texts = [[messages.decode(side[0]) for side in pair] for pair in pairs.messages]
    expected = [label(annotator, [first], [second]) for first, second in texts]
    assert labels.tolist() == expected
    assert all(labels[i] == TIE for i, (first, second) in enumerate(texts) if first == second)
    assert {FIRST, SECOND, TIE} == set(labels.tolist())
    assert annotator.source["type"] == "rules"
    assert annotator.source["goal"] == goal
    assert len(annotator.source["rules_sha256"]) == 64


def test_each_distinct_message_is_evaluated_once(make_dataset, monkeypatch):
    pairs = make_dataset(200, seq_len=3)
    annotator, asked = RulesAnnotator("defaultgoal"), []
    value = annotator.value
    monkeypatch.setattr(annotator, "value", lambda text: asked.append(text) or value(text))
    monkeypatch.setattr("motif.annotate.rules.PAIRS_AT_ONCE", 7)
    answers = list(annotator.annotate(pairs, np.arange(3, 200)))
    assert np.concatenate([a.indices for a in answers]).tolist() == list(range(3, 200))
    assert len(asked) == len(set(asked)) == len(messages.unique(pairs.messages[3:])[0])


RULES_FILE = """
goals: [tidy, quick]
rules:
  - pattern: a mess
    values: {all: -1, quick: 0.5}
  - pattern: 'clean(ed)?'
    example: It is clean.
    values: {tidy: 2}
"""


def test_a_user_s_own_rules(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(RULES_FILE)
    tidy, quick = RulesAnnotator("tidy", path), RulesAnnotator("quick", path)
    assert tidy.value("You cleaned up a mess.") == 1
    assert quick.value("You cleaned up a mess.") == 0.5
    assert tidy.source["rules_sha256"] != RulesAnnotator("combat").source["rules_sha256"]


def test_unknown_goal_lists_the_goals():
    with pytest.raises(ConfigError, match=r"'winning'; .*: defaultgoal, zeroknowledge, combat, g"):
        RulesAnnotator("winning")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("goals: [tidy", "is not YAML"),
        ("- a list", "must have the two keys goals and rules"),
        ("goals: [tidy]\nrules: []", "must have the two keys goals and rules"),
        ("goals: tidy\nrules: [{}]", "must have the two keys goals and rules"),
        ("goals: [tidy]\nrules: [text]", "rule 1: needs a pattern and values, got 'text'"),
        ("goals: [tidy]\nrules: [{pattern: a}]", "rule 1: needs a pattern and values"),
        (
            "goals: [tidy]\nrules: [{pattern: a, values: {}, colour: 1}]",
            "rule 1: unknown key 'colour'",
        ),
        ("goals: [tidy]\nrules: [{pattern: '(', values: {}}]", r"rule 1: bad pattern '\('"),
        (
            "goals: [tidy]\nrules: [{pattern: a, values: {}, example: b}]",
            "rule 1: 'a' does not match its example 'b'",
        ),
        ("goals: [tidy]\nrules: [{pattern: a, values: 3}]", "rule 1: values must map goals"),
        (
            "goals: [tidy]\nrules: [{pattern: a, values: {}}, {pattern: b, values: {neat: 1}}]",
            "rule 2: unknown goal 'neat'; the file's goals",
        ),
        (
            "goals: [tidy]\nrules: [{pattern: a, values: {tidy: yes}}]",
            "rule 1: the value of tidy must be a number, got True",
        ),
    ],
)
def test_mistakes_in_a_rules_file_are_named(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message):
        load_rules(content, "tidy", tmp_path / "mine.yaml")


@pytest.mark.parametrize("content", [None, b"\xff\xfe bad"])
def test_a_rules_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "mine.yaml"
    if content:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot read the rules file .*mine\.yaml"):
        RulesAnnotator("tidy", path)

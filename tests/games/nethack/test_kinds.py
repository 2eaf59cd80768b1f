"""Kinds of messages."""

from __future__ import annotations

import pytest
import yaml

from motif.games.game import count_kinds, kinds_of
from motif.games.nethack.adapter import NetHack
from motif.games.nethack.kinds import KINDS


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("You kill the newt!", ["kills a monster"]),
        ("You kill the poor kitten!", []),
        ("You kill poor Fido!", []),
        ("The little dog kills the newt.", []),
        ("You hit it.", ["hits a monster"]),
        ("You kick the door.", []),
        ("$ - 12 gold pieces.", ["takes gold"]),
        ("You see here 31 gold pieces.", ["sees gold"]),
        ("k - a scroll labeled ZLORFIK.", ["takes an item"]),
        ("You descend the stairs.", ["goes down"]),
        ("There is a staircase down here.", ["sees stairs down"]),
        ("You climb up the stairs.", ["goes up"]),
        ("The door opens.", ["opens a door"]),
        ("Welcome to experience level 2.", ["gains a level"]),
        ("The jackal bites!", ["is hurt"]),
        ("It's a wall.", ["bumps into things"]),
        ("You can't go down here.", ["makes a useless move"]),
        ("The newt bites!  You kill the newt!", ["kills a monster", "is hurt"]),
        ("", []),
    ],
)
def test_kinds(text, kinds):
    assert kinds_of(KINDS, text) == kinds


def test_each_kind_has_an_example_above():
    examples = {mark for args in test_kinds.pytestmark[0].args[1] for mark in args[1]}
    assert examples == set(KINDS)


def test_counts_are_of_times_seen():
    counts = count_kinds(
        KINDS, {"You kill the newt!": 3, "The newt bites!  You kill the newt!": 2, "": 9}
    )
    assert {kind: count for kind, count in counts.items() if count} == {
        "kills a monster": 5,
        "is hurt": 2,
    }
    assert set(counts) == set(KINDS)


def test_the_rules_call_the_same_a_kill():
    rules = yaml.safe_load(NetHack.rules.read_text(encoding="utf-8"))["rules"]
    (kill,) = (rule["pattern"] for rule in rules if rule.get("example") == "You kill the newt!")
    assert kill == KINDS["kills a monster"].pattern

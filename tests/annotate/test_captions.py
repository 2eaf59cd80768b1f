"""Captions: what a model reads of one side of a pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif.annotate import captions
from motif.messages import encode


def rows(*texts: str) -> np.ndarray:
    return np.stack([encode(text) for text in texts])


def blstats(**values: int) -> np.ndarray:
    places = {"hp": 10, "hpmax": 11, "depth": 12, "gold": 13, "xp": 18, "hunger": 21}
    row = np.zeros(27, np.int64)
    row[21] = 1
    for name, value in values.items():
        row[places[name]] = value
    return row


def test_repeats_are_grouped_and_empty_messages_dropped() -> None:
    caption = captions.caption(rows("You hit it.", "You hit it.", "", "Ouch!", "You hit it."))
    assert caption == "You hit it. (x2)\nOuch!\nYou hit it."


def test_zero_bytes_inside_and_high_bytes() -> None:
    raw = np.zeros((1, 256), np.uint8)
    raw[0, :5] = [65, 0, 66, 0xE9, 0xFF]
    assert captions.caption(raw) == "AB\xe9\xff"


def test_status_follows_each_group_at_its_first_step() -> None:
    steps = np.stack([blstats(hp=9, hpmax=14, depth=1, gold=5, xp=1), blstats(hp=8), blstats(hp=7)])
    caption = captions.caption(rows("Ouch!", "Ouch!", "Hm."), steps)
    assert caption == "Ouch! (x2) Dlvl:1 $:5 HP:9(14) Xp:1\nHm. Dlvl:0 $:0 HP:7(0) Xp:0"


@pytest.mark.parametrize(("hunger", "word"), [(0, "Satiated"), (2, "Hungry"), (6, "Starved")])
def test_hunger_word(hunger: int, word: str) -> None:
    assert captions.status(blstats(hunger=hunger)).endswith(f"Xp:0 {word}")


def test_status_alone() -> None:
    steps = np.stack([blstats(hp=1), blstats(hp=1), blstats(hp=2)])
    assert captions.status_caption(steps) == (
        "Dlvl:0 $:0 HP:1(0) Xp:0 (x2)\nDlvl:0 $:0 HP:2(0) Xp:0"
    )


@given(st.lists(st.binary(max_size=256), min_size=1, max_size=5))
def test_no_bytes_crash(raw: list[bytes]) -> None:
    messages = np.stack([np.frombuffer(m.ljust(256, b"\0"), np.uint8) for m in raw])
    assert "\0" not in captions.caption(messages)

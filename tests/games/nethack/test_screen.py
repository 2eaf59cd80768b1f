"""The message and the status as they stand on the screen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nle import nethack

from motif.games.nethack.screen import read_message, read_screens, read_status
from motif.messages import decode

pytestmark = pytest.mark.nle

STATUS = {
    22: "Agent the Candidate            St:17 Dx:15 Co:13 In:9 Wi:12 Ch:8 Neutral S:81",
    23: "Dlvl:2 $:7 HP:11(14) Pw:3(4) AC:4 Xp:1/12 T:222 Hungry",
}
LONG = "You see here a very long list of things, so long that it is wrapped at"


def screen_of(rows: dict[int, str], status: bool = True) -> np.ndarray:
    lines = [{**(STATUS if status else {}), **rows}.get(row, "").ljust(80) for row in range(24)]
    return np.array([list(line.encode("latin-1")) for line in lines], dtype=np.uint8)


def status_of(first: str, second: str) -> dict[str, int]:
    status = read_status(screen_of({22: first, 23: second}))
    assert status is not None
    names = {getattr(nethack, name): name[7:] for name in dir(nethack) if name[:7] == "NLE_BL_"}
    return {name: int(status[index]) for index, name in names.items() if status[index]}


@pytest.mark.parametrize(
    ("rows", "cursor", "message"),
    [
        ({0: "It's a wall."}, (10, 5), "It's a wall."),
        ({0: "You kill the newt!--More--"}, (0, 26), "You kill the newt!"),
        ({0: "In what direction?"}, (0, 19), "In what direction? "),
        ({}, (10, 5), ""),
        # wrapped, as a terminal shows it, and as NLE's does
        ({0: LONG, 1: "last.--More--"}, (1, 13), f"{LONG}\nlast."),
        ({0: LONG, 1: " " * len(LONG) + "last--More", 2: "--"}, (2, 2), f"{LONG}\nlast"),
        ({0: LONG, 1: "--More--"}, (1, 8), LONG),
        ({0: LONG, 1: "a third", 2: "row.--More--"}, (2, 12), f"{LONG}\na third\nrow."),
        ({0: LONG, 1: "this? [yn] (n)"}, (1, 15), f"{LONG}\nthis? [yn] (n) "),
        # the hero stands near the top, below a full row
        ({0: LONG, 1: "|..[.|"}, (1, 4), LONG),
        ({0: LONG, 1: " " * 20 + "|..@"}, (1, 23), LONG),
        # menus and windows, with what the message was beside them
        ({0: " " * 40 + "Coins", 1: " " * 40 + "$ - 5 gold", 2: " " * 40 + "(end)"}, (2, 46), ""),
        ({0: "Really quit? [yn] (n)   Armor", 2: "|.. (1 of 2)"}, (2, 13), ""),
        ({0: "Things that are here:", 2: "..  --More--"}, (2, 12), ""),
        ({0: LONG, 2: "|...  --More--"}, (2, 14), ""),
    ],
)
def test_messages(rows, cursor, message):
    assert read_message(screen_of(rows), *cursor).decode() == message


def test_a_screen_without_status_has_no_message():
    texts = screen_of({0: "Goodbye Agent the Monk...", 23: "--More--"}, status=False)
    messages, blstats = read_screens(texts[None], np.array([[23, 8]]), None, None)
    assert not messages.any()
    assert not blstats.any()


def test_every_field_of_the_status_lines():
    assert status_of(*STATUS.values()) == {
        "STR25": 17,
        "STR125": 17,
        "DEX": 15,
        "CON": 13,
        "INT": 9,
        "WIS": 12,
        "CHA": 8,
        "SCORE": 81,
        "DEPTH": 2,
        "GOLD": 7,
        "HP": 11,
        "HPMAX": 14,
        "ENE": 3,
        "ENEMAX": 4,
        "AC": 4,
        "XP": 1,
        "EXP": 12,
        "TIME": 222,
        "HUNGER": 2,
    }


@pytest.mark.parametrize(
    ("shown", "strength", "to_25"),
    [
        *(("3", 3, 3), ("18", 18, 18), ("18/01", 19, 19), ("18/31", 49, 19), ("18/32", 50, 20)),
        *(("18/82", 100, 21), ("18/**", 118, 21), ("19", 119, 21), ("25", 125, 25)),
    ],
)
def test_strength_beyond_18(shown, strength, to_25):
    status = status_of(f"Agent the Candidate  St:{shown} Dx:15 Lawful", STATUS[23])
    assert (status["STR125"], status["STR25"], status["ALIGN"]) == (strength, to_25, 1)


def test_conditions_burden_and_another_shape():
    second = "Dlvl:12 $:0 HP:-1(14) Pw:0(4) AC:-3 HD:7 T:9 Burdened Blind Stun Ride"
    status = status_of("x Chaotic", second)
    assert status["HP"] == -1
    assert status["AC"] == -3
    assert status["HD"] == 7
    assert status["CAP"] == 1
    masks = nethack.BL_MASK_BLIND | nethack.BL_MASK_STUN | nethack.BL_MASK_RIDE
    assert status["CONDITION"] == masks
    assert status["HUNGER"] == 1


def test_every_condition_has_nle_s_bit():
    masks = {
        name[8:].title(): getattr(nethack, name) for name in dir(nethack) if "BL_MASK_" in name
    }
    names = {"Foodpois": "FoodPois", "Termill": "TermIll"}
    del masks["Bits"]
    assert len(masks) == 13
    for name, mask in masks.items():
        status = status_of("x", f"Dlvl:1 $:0 HP:1(1) {names.get(name, name)}")
        assert status["CONDITION"] == mask, name


def test_a_score_cut_off_by_the_edge_is_not_believed():
    tail = " St:18/01 Dx:11 Co:11 In:10 Wi:13 Ch:11 Neutral S:123"
    assert status_of("Agent".ljust(79 - len(tail)) + tail, STATUS[23])["SCORE"] == 123
    for width in (80, 81, 83):  # at 80, digits may be missing
        shown = status_of(("Agent".ljust(width - len(tail)) + tail)[:80], STATUS[23])
        assert "SCORE" not in shown
        assert shown["CHA"] == 11


def test_what_was_seen_last_holds_where_nothing_is_seen():
    menu = {0: " " * 40 + "Coins", 1: " " * 40 + "(end)"}
    screens = np.stack(
        [
            screen_of({0: "Hello."}),
            screen_of(menu, status=False),
            screen_of({0: "In what direction?"}),
            screen_of({22: STATUS[22].replace("S:81", ""), 23: STATUS[23].replace("222", "223")}),
        ]
    )
    cursors = np.array([[10, 30], [1, 46], [0, 19], [11, 31]])
    messages, blstats = read_screens(screens, cursors, None, None)
    assert [decode(message) for message in messages] == ["Hello.", "", "In what direction? ", ""]
    places = blstats[:, [nethack.NLE_BL_X, nethack.NLE_BL_Y]].tolist()
    assert places == [[30, 9], [30, 9], [30, 9], [31, 10]]
    assert blstats[:, nethack.NLE_BL_SCORE].tolist() == [81, 81, 81, 81]
    assert blstats[:, nethack.NLE_BL_TIME].tolist() == [222, 222, 222, 223]
    _, going_on = read_screens(screens[1:2], cursors[1:2], None, blstats[0])
    np.testing.assert_array_equal(going_on[0], blstats[0])


def test_the_recording_s_own_score_comes_first():
    screens = np.stack([screen_of({})] * 3)
    cursors = np.array([[10, 30]] * 3)
    _, blstats = read_screens(screens, cursors, np.array([82, 90, 0]), None)
    assert blstats[:, nethack.NLE_BL_SCORE].tolist() == [82, 90, 90]


pieces = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"--More--", b"(end)", b"(1 of 2)", b" ", b"\0", LONG.encode(), b"? [yn] (n) "]
    ),
    st.sampled_from([b"St:18/99 Dx:", b"HP:9(", b"HP:1(1) ", b"T:" + b"9" * 70, b"$:-", b"S:1"]),
)
rows = st.lists(pieces, max_size=6).map(lambda parts: b"".join(parts)[:80].ljust(80))


@given(
    top=st.lists(rows, min_size=6, max_size=6),
    bottom=st.lists(rows, min_size=2, max_size=2),
    row=st.integers(0, 23),
    column=st.integers(0, 80),
)
def test_whatever_is_on_the_screen_there_are_256_bytes_to_decode(top, bottom, row, column):
    lines = [*top, *[b" " * 80] * 16, *bottom]
    screen = np.array([list(line) for line in lines], dtype=np.uint8)
    messages, blstats = read_screens(screen[None], np.array([[row, column]]), None, None)
    assert messages.shape == (1, 256)
    assert messages.dtype == np.uint8
    decode(messages[0]).encode("latin-1")
    assert b"\0" not in bytes(messages[0]).rstrip(b"\0")
    assert blstats.shape == (1, 27)

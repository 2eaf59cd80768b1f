"""Replays: what the page holds is the game, and text of the game can do nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jinja2 import TemplateNotFound
from replay_page import content_of

from motif import messages
from motif.play.replay import COLUMNS, ROWS, Replay

SCREEN = st.tuples(
    arrays(
        np.uint8, (ROWS, COLUMNS), elements=st.sampled_from([32, 35, 46, 64, 233]), fill=st.just(32)
    ),
    arrays(np.int8, (ROWS, COLUMNS), elements=st.integers(0, 15), fill=st.just(7)),
)


def add(replay, screen, text="", **changed):
    values = {"worth": 0.5, "count": 1, "reward": 0.0, "intrinsic": 0.0, **changed}
    replay.add(screen, messages.encode(text).tobytes(), **values)


def screens_of(content):
    """What the page's script does with the steps."""
    chars = np.full(ROWS * COLUMNS, 32)
    colors = np.zeros(ROWS * COLUMNS, int)
    for step in content["steps"]:
        for position, text, digits in zip(step[4::3], step[5::3], step[6::3]):
            part = slice(position, position + len(text))
            chars[part] = [ord(character) for character in text]
            colors[part] = [int(digit, 16) for digit in digits]
        yield chars.reshape(ROWS, COLUMNS).copy(), colors.reshape(ROWS, COLUMNS).copy()


@settings(max_examples=20)
@given(st.lists(SCREEN, min_size=1, max_size=4))
def test_every_screen_comes_back(tmp_path_factory, screens):
    replay = Replay("a", "b")
    for screen in screens:
        add(replay, screen)
    path = tmp_path_factory.mktemp("replay") / "episode.html"
    replay.write(path)
    for (chars, colors), (got_chars, got_colors) in zip(screens, screens_of(content_of(path))):
        np.testing.assert_array_equal(got_chars, chars)
        np.testing.assert_array_equal(got_colors, colors)


def test_messages_once_with_their_rewards(tmp_path):
    replay = Replay("a", "b")
    blank = np.full((ROWS, COLUMNS), 32, np.uint8), np.zeros((ROWS, COLUMNS), np.int8)
    add(replay, blank, "It's a wall.", worth=-1.25, count=1, reward=-0.01)
    add(replay, blank, "You kill it!", worth=2.0, count=1, reward=8.0, intrinsic=0.2)
    add(replay, None, "It's a wall.", worth=-1.25, count=2)
    assert len(replay) == 3
    replay.write(tmp_path / "episode.html")
    content = content_of(tmp_path / "episode.html")
    assert content["messages"] == ["It's a wall.", "You kill it!"]
    assert content["worth"] == [-1.25, 2.0]
    # blank to blank is a change of colour only, once
    assert [step[:4] for step in content["steps"]] == [
        [0, 1, -0.01, 0.0],
        [1, 1, 8.0, 0.2],
        [0, 2, 0.0, 0.0],
    ]
    assert [len(step) for step in content["steps"]] == [4, 4, 4]


def test_hostile_text(tmp_path):
    hostile = "</script><script>alert(1)</script>\x1b[2J"
    replay = Replay(hostile, hostile)
    chars = np.full((ROWS, COLUMNS), 32, np.uint8)
    chars[0, : len(hostile)] = np.frombuffer(hostile.encode(), np.uint8)
    add(replay, (chars, np.zeros((ROWS, COLUMNS), np.int8)), hostile, worth=None)
    path = tmp_path / "episode.html"
    replay.write(path)
    source = path.read_text()
    assert "alert" in source  # of the title, escaped
    assert source.count("<script") == 2 and "<script>alert" not in source
    assert "\x1b" not in source
    content = content_of(path)
    assert content["messages"] == [hostile.replace("\x1b", "\\x1b")]
    assert content["worth"] == [None]
    assert "\x1b" not in str(content)
    assert "http://" not in source and "https://" not in source
    assert "default-src 'none'" in source


def test_a_long_game_stays_small(tmp_path):
    """A hero that walks 5,000 steps: his cell and the turn counter change."""
    replay = Replay("a", "b")
    chars = np.full((ROWS, COLUMNS), ord("."), np.uint8)
    colors = np.full((ROWS, COLUMNS), 7, np.int8)
    rng = np.random.default_rng(0)
    for step in range(5000):
        chars[rng.integers(1, 22), rng.integers(80)] ^= 110  # "." and "@"
        turn = f"T:{step:<6}".encode()
        chars[23, 40 : 40 + len(turn)] = np.frombuffer(turn, np.uint8)
        add(replay, (chars.copy(), colors), f"message {step % 400}", reward=0.01)
    replay.write(tmp_path / "episode.html")
    assert (tmp_path / "episode.html").stat().st_size < 500_000


def test_a_page_that_cannot_be_written_is_not_there(tmp_path, monkeypatch):
    replay = Replay("a", "b")
    monkeypatch.setattr("motif.play.replay.TEMPLATE", "play/nothing.html")
    with pytest.raises(TemplateNotFound):
        replay.write(tmp_path / "episode.html")
    assert list(tmp_path.iterdir()) == []

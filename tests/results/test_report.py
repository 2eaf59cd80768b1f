"""The picture of a run."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from motif import messages
from motif.results.report import SHOWN_MESSAGES, draw_report, rank_messages, shown


def episodes_of(games: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "env_steps": np.arange(games) * 1000.0,
        "return": rng.normal(size=games),
        "intrinsic_return": rng.normal(size=games),
    }


def png_size(path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    return struct.unpack(">II", content[16:24])


@pytest.mark.parametrize("games", [0, 1, 60])
def test_a_picture_of_any_number_of_games(tmp_path, games):
    path = tmp_path / "report.png"
    draw_report(
        path,
        title="A run",
        episodes=episodes_of(games),
        best=[("You kill the newt!", 2.0), ("$ - 3 gold pieces. $x^2", 1.5)],
        worst=[("It's a wall.", -1.0)],
        reference=("random play", 3.0),
    )
    assert png_size(path) == (1600, 1000)


@pytest.mark.parametrize("rewards", [[], [0.0], [-2.0, 1.0]])
def test_a_picture_of_any_rewards(tmp_path, rewards):
    ranked = [(str(reward), float(reward)) for reward in rewards]
    path = tmp_path / "report.png"
    draw_report(path, title="", episodes=episodes_of(3), best=ranked, worst=ranked)
    assert png_size(path) == (1600, 1000)


def test_best_and_worst_messages():
    texts = [f"message {number}" for number in range(40)]
    encoded = np.stack([messages.encode(text) for text in texts])
    best, worst = rank_messages(encoded, np.arange(40) - 20.0)
    assert len(best) == len(worst) == SHOWN_MESSAGES
    assert best[0] == ("message 39", 19.0)
    assert best[1] == ("message 38", 18.0)
    assert worst[0] == ("message 0", -20.0)


def test_few_messages_are_all_shown():
    encoded = np.stack([messages.encode("a"), messages.encode("")])
    best, worst = rank_messages(encoded, np.array([1.0, 2.0]))
    assert best == [("(empty message)", 2.0), ("a", 1.0)]
    assert worst == best[::-1]


def test_a_message_is_one_short_harmless_line():
    assert shown("You see\n  here:  a newt") == "You see here: a newt"
    assert shown("\x1b[2J") == "\\x1b[2J"
    assert shown("") == "(empty message)"
    assert shown("x" * 72) == "x" * 72
    assert shown("x" * 73) == "x" * 71 + "…"

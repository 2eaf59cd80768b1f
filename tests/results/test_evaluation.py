"""What an evaluation says of its games."""

from __future__ import annotations

import numpy as np
import pytest

from motif.results.evaluation import compare_players, draw_players, summary_table


def rows(player, scores, success=None):
    return [
        {
            "player": player,
            "number": number,
            "score": score,
            "success": None if success is None else score > success,
            "end": "died" if score < 100 else "step limit",
        }
        for number, score in enumerate(scores)
    ]


def test_means_quartiles_ends_and_their_intervals():
    scores = np.arange(0, 200, 10)
    found = compare_players(rows("a", scores, success=150), ["a"])["players"]["a"]
    score = found["measures"]["score"]
    assert found["games"] == 20
    assert score["mean"] == 95 and score["median"] == 95 and score["greatest"] == 190
    assert (score["lower_quartile"], score["upper_quartile"]) == (47.5, 142.5)
    error = scores.std() / np.sqrt(20)
    assert score["low"] == pytest.approx(95 - 1.96 * error, abs=2)
    assert score["high"] == pytest.approx(95 + 1.96 * error, abs=2)
    assert found["ends"] == {"died": 10, "step limit": 10}
    assert found["success"]["wins"] == 4 and found["success"]["rate"] == 0.2


def test_the_same_games_are_compared_in_pairs():
    """Games differ by far more than the players do: only pairs can tell."""
    scores = np.random.default_rng(5).integers(0, 1000, size=50)
    shuffled = list(reversed(rows("b", scores + 1)))
    found = compare_players([*rows("a", scores), *shuffled], ["a", "b"])
    difference = found["differences"]["b"]["score"]
    assert difference == {"mean": 1.0, "low": 1.0, "high": 1.0}
    score = found["players"]["a"]["measures"]["score"]
    assert score["high"] - score["low"] > 50


def test_table_and_picture(tmp_path):
    content = compare_players(
        [*rows("a", [1, 2, 3]), *rows("models/b", [4, 6, 8])], ["a", "models/b"]
    )
    content["settings"] = {"task": "NetHackScore-v1"}
    table = summary_table(content)
    assert "models/b minus a" in table and "+4" in table and "*" in table
    draw_players(tmp_path / "e.png", content)
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")

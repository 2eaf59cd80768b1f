"""What the report says of reward models."""

from __future__ import annotations

import html
import re
from types import SimpleNamespace

import numpy as np
import pytest

from motif.games.nethack.adapter import NetHack
from motif.results.reward_sections import (
    RewardView,
    agreement_section,
    goals_section,
    likes_section,
    reward_sections,
)

TEXTS = ["You kill the newt!", "$ - 3 gold pieces.", "It's a wall.", "<script>", ""]


def view_of(rewards, name="toy", threshold=0.0, texts=TEXTS, counts=None) -> RewardView:
    return RewardView(
        kinds=NetHack.kinds,
        name=name,
        texts=texts,
        rewards_U=np.array(rewards, dtype=float),
        mean=1.0,
        deviation=2.0,
        threshold=threshold,
        quantile=0.5,
        counts_U=counts,
    )


def held_out(agrees_N, rarest_N) -> SimpleNamespace:
    """Of a result on held-out pairs, what the report reads."""
    return SimpleNamespace(agrees_N=agrees_N, rarest_N=rarest_N)


def rows(source: str) -> list[str]:
    """The rows of all tables, without their elements."""
    found = re.findall(r"<tr>(.*?)</tr>", source)
    return [html.unescape(" | ".join(re.findall(r">([^<>]+)<", row))) for row in found]


def test_before_and_after_normalising_and_threshold():
    counts = np.array([7, 1, 900, 1, 20])
    text = "".join(likes_section(view_of([2, 0.5, -1, 0, 0.25], counts=counts)).body)
    lines = rows(text)
    assert "You kill the newt! | +5.00 | +2.00 | 2.00 | 7" in lines
    assert "It's a wall. | -1.00 | -1.00 | 0.00 | 900" in lines
    assert "<script> | +1.00 | +0.00 | 0.00 | 1" in lines  # at the threshold: pays nothing
    assert lines.index("You kill the newt! | +5.00 | +2.00 | 2.00 | 7") < lines.index(
        "$ - 3 gold pieces. | +2.00 | +0.50 | 0.50 | 1"
    )
    assert "60.0 % of the messages" in text
    assert "kills a monster | 1 | +2.00" in lines


@pytest.mark.parametrize("threshold", [float("-inf"), 0.0, 99.0])
def test_any_threshold(threshold):
    texts = [f"message {number}" for number in range(60)]
    view = view_of(np.linspace(-2, 2, 60), threshold=threshold, texts=texts)
    text = "".join(likes_section(view).body)
    assert ("Around the threshold" in text) == (threshold > float("-inf"))


def test_one_message_of_one_reward():
    assert likes_section(view_of([1.0], texts=["a"])).title == "What toy likes"


def test_does_gold_like_gold():
    gold = view_of([-1, 2, 0, 0, -1], "gold")
    combat = view_of([2, -1, 0, 0, -1], "combat")
    lines = rows("".join(goals_section([gold, combat]).body))
    assert "takes gold | 1 | +2.00 | -1.00" in lines
    assert "kills a monster | 1 | -1.00 | +2.00" in lines
    assert "gold | +1.00 | -0.50" in lines  # correlation


def test_agreement_by_frequency():
    pairs = held_out(np.array([1, 0, 1, 1, 1.0]), np.array([0, 0, 1, 9, 1000]))
    lines = rows("".join(agreement_section("toy", pairs).body))
    assert "0 | 2 | 50.0 % | 9.5 % to 90.5 %" in lines
    assert "2 to 9 | 1 | 100.0 % | 20.7 % to 100.0 %" in lines
    assert "10 to 99 | 0 | – | –" in lines
    assert "all | 5 | 80.0 % | 37.6 % to 96.4 %" in lines


def test_sections_of_one_and_of_several_models():
    views = [view_of([1, 2, 3, 4, 5], "a/b"), view_of([5, 4, 3, 2, 1], "c")]
    nothing = held_out(np.array([]), np.array([], dtype=int))
    assert [part.anchor for part in reward_sections(views[:1], nothing)] == ["likes-a-b"]
    some = held_out(np.array([0.5]), np.array([3]))
    found = [part.anchor for part in reward_sections(views, some)]
    assert found == ["likes-a-b", "goals", "likes-c", "agreement"]

"""The judged pairs of NetHack: drawn evenly, and in no prompt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from motif.annotate.config import GOALS
from motif.annotate.judges import JudgedPair, draw_judged_pairs
from motif.annotate.rules import RulesAnnotator
from motif.errors import ConfigError
from motif.games.nethack.adapter import NetHack
from motif.messages import MESSAGE_LENGTH


def drawn(goal: str, number: int = 200) -> list[JudgedPair]:
    return draw_judged_pairs(NetHack.judges, goal, number)


@pytest.mark.parametrize("goal", GOALS)
def test_two_hundred_different_pairs_spread_over_many_kinds(goal: str) -> None:
    pairs = drawn(goal)
    assert len({(pair.better, pair.worse) for pair in pairs}) == 200
    better, worse = (Counter(pair.kinds[side] for pair in pairs) for side in (0, 1))
    assert len(better | worse) >= 20
    assert max(better.values()) <= 200 / min(len(better), 4)
    texts = Counter(text for pair in pairs for text in (pair.better, pair.worse))
    assert len(texts) > 100
    assert max(map(len, texts)) < MESSAGE_LENGTH
    assert all("{" not in text and "|" not in text for text in texts)
    assert drawn(goal) == pairs  # the same for every judge


@pytest.mark.parametrize("goal", GOALS)
def test_a_judge_who_sees_the_words_gets_nearly_all(goal: str) -> None:
    rules = RulesAnnotator(goal)
    wrong = [p for p in drawn(goal) if rules.value(p.better) < rules.value(p.worse)]
    assert len(wrong) < (25 if goal == "gold" else 5), wrong  # the rules call any gold good


def test_no_judged_message_is_in_a_prompt() -> None:
    prompts = {path: path.read_text() for path in NetHack.prompts.glob("*.yaml")}
    assert len(prompts) >= 3
    every = [pair for goal in GOALS for pair in drawn(goal, 1500)]
    for text in {text for pair in every for text in (pair.better, pair.worse)}:
        assert not [path for path, prompt in prompts.items() if text in prompt], text


def test_a_kind_has_its_own_messages() -> None:
    kinds: dict[str, set[str]] = {}
    for goal in GOALS:
        for pair in drawn(goal, 1500):
            for text, kind in zip((pair.better, pair.worse), pair.kinds):
                kinds.setdefault(text, set()).add(kind)
    assert [text for text, its in kinds.items() if len(its) > 1] == []


SMALL = """
messages: {good: ["{a|b} c"], bad: [d]}
goals:
  g: [{better: [good], worse: [bad]}]
  h: g
"""


def test_choices_and_goals_that_name_another(tmp_path: Path) -> None:
    path = tmp_path / "judges.yaml"
    path.write_text(SMALL)
    for goal in ("g", "h"):
        pairs = draw_judged_pairs(path, goal, 2)
        assert {pair.better for pair in pairs} == {"a c", "b c"}
        assert pairs[0].kinds == ("good", "bad")


@pytest.mark.parametrize(
    ("old", "new", "goal", "problem"),
    [
        ("", "", "x", "no goal 'x' in .*; there are: g, h"),
        ("", "", "g", "--pairs 3 are more than there are: .* has 2 for g"),
        ("[bad]", "[ugly]", "g", "no messages of kind {'ugly'}"),
        ("worse", "worst", "g", "needs better and worse, got"),
        ("messages", "message", "g", "must have the two keys messages and goals"),
        ("[d]", "d", "g", "the messages of 'bad' must be a list of texts"),
        ("[d]", "[d", "g", "is not YAML"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, old: str, new: str, goal: str, problem: str) -> None:
    path = tmp_path / "judges.yaml"
    path.write_text(SMALL.replace(old, new, 1) if old else SMALL)
    with pytest.raises(ConfigError, match=problem):
        draw_judged_pairs(path, goal, 3)
    with pytest.raises(ConfigError, match="cannot read the file of judged pairs"):
        draw_judged_pairs(tmp_path / "none.yaml", goal, 3)

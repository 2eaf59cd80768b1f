"""Prompts as data: the shipped ones, users' own, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from motif.annotate.answers import AnswerParser
from motif.annotate.config import GOALS
from motif.annotate.prompt import (
    Prompt,
    load_prompt,
    load_shipped_prompt,
    prompt_versions,
)
from motif.errors import ConfigError
from motif.games.nethack.adapter import NetHack
from motif.preference.labels import Preference

GOOD = """\
version: mine
system: Judge.
template: |
  Which is better? $goal

  1: $caption_1
  2: $caption_2
retry: Only the number.
answer_pattern: 'best: (1|2|none)'
direct_prefill: 'best: '
goals:
  win: Winning costs $$5, in $goal money.
  nothing: ''
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("version", ["default", "reworded", "short"])
@pytest.mark.parametrize("goal", GOALS)
def test_shipped_prompts(version: str, goal: str) -> None:
    prompt = load_shipped_prompt(version, goal)
    assert prompt.version == version
    system, user = prompt.conversation("You kill the newt!", "")
    assert (system["role"], user["role"]) == ("system", "user")
    assert "You kill the newt!" in user["content"]
    assert "$" not in user["content"]


def test_captions_come_last_so_that_the_shared_text_is_one_prefix() -> None:
    for version in prompt_versions(NetHack.prompts):
        template = load_shipped_prompt(version, "defaultgoal").template
        assert len(template[template.index("${caption_1}") :]) < 80


def test_goals_differ_and_zeroknowledge_names_none() -> None:
    templates = {goal: load_shipped_prompt("default", goal).template for goal in GOALS}
    assert len(set(templates.values())) == len(GOALS)
    assert "goal is" not in templates["zeroknowledge"]


def test_without_the_system_prompt() -> None:
    with_system = load_shipped_prompt("default", "gold")
    without = load_shipped_prompt("default", "gold", system_prompt=False)
    assert [turn["role"] for turn in without.conversation("a", "b")] == ["user"]
    assert with_system.digest != without.digest


def test_dollars_in_goals_and_captions_are_kept(tmp_path: Path) -> None:
    prompt = load_prompt(write(tmp_path, GOOD), "win")
    user = prompt.conversation("$ - 5 gold", "${caption_1} $$")[-1]["content"]
    assert "Winning costs $$5, in $goal money." in user  # a goal is text, not a template
    assert "1: $ - 5 gold\n2: ${caption_1} $$" in user


@given(st.text(max_size=60), st.text(max_size=60))
def test_captions_arrive_unchanged(first: str, second: str) -> None:
    prompt = Prompt("v", None, "${caption_1}|\0|${caption_2}", "r", "(1)", "p")
    assert prompt.conversation(first, second)[0]["content"] == f"{first}|\0|{second}"


def test_every_text_changes_the_digest() -> None:
    fields = {"version": "v", "system": "s", "template": "t", "retry": "r"}
    fields |= {"answer_pattern": "(1)", "direct_prefill": "p"}
    digests = {Prompt(**{**fields, key: "other"}).digest for key in fields}  # type: ignore[arg-type]
    assert len(digests) == len(fields)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("$caption_2", "$caption_3"), r"line 7: '\$caption_3' is no placeholder"),
        (("2: $caption_2", "2: $ x"), r"line 7: '\$' is no placeholder"),
        (("$caption_2", "b"), r"line 3: 'template' lacks the placeholder \$caption_2"),
        (("retry: Only the number.\n", ""), r"line 12: the file ends without the key 'retry'"),
        (("retry:", "retri:"), r"line 8: unknown key 'retri'"),
        (("system: Judge.", "system: [a]"), r"line 2: 'system' must be a text"),
        (("version: mine", "version: ''"), r"line 1: 'version' must be a text"),
        (("version: mine", "version: mine\ncolour: red"), r"line 2: unknown key 'colour'"),
        (("(1|2|none)", "1|2"), r"line 9: 'answer_pattern' must have one group"),
        (("(1|2|none)", "(1|2"), r"line 9: 'answer_pattern' is no regular expression"),
        (("nothing: ''", "nothing: {a: b}"), r"line 13: 'nothing' must be a text"),
        (("system: Judge.", "system: 'Judge."), r"line \d+: no valid YAML"),
        (("system: Judge.", "system: " + "[" * 5000), r"line 1: no valid YAML: .*recursion"),
        (("system: Judge.", "[system]: Judge."), r"line 2: a key must be a word"),
        (("nothing: ''", "[nothing]: ''"), r"line 13: .* must be a text"),
        (("(1|2|none)", "(A|B)"), r"line 9: 'answer_pattern' does not find the answer 1"),
        (("(1|2|none)", "(1|2)"), r"line 9: 'answer_pattern' does not find the answer none"),
        (("version: mine", "version: mine\nversion: x"), r"line 2: 'version' is there twice"),
        (("nothing: ''", "win: ''"), r"line 13: 'win' is there twice"),
        (("(1|2|none)", "(" * 5000 + ")" * 5000), r"line 9: 'answer_pattern' is no regular"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigError, match=rf"mine\.yaml, {problem}"):
        load_prompt(path, "win")


def test_goals_must_be_a_mapping(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("goals:")] + "goals: win\n"
    with pytest.raises(ConfigError, match="line 11: 'goals' must map names to texts"):
        load_prompt(write(tmp_path, text), "win")


def test_unknown_goal_lists_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no goal 'lose' in .* line 11; there are: win, nothing"):
        load_prompt(write(tmp_path, GOOD), "lose")


def test_unknown_version() -> None:
    with pytest.raises(ConfigError, match="no prompt version 'old'; there are: default, reworded"):
        load_shipped_prompt("old", "gold")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the prompt file"):
        load_prompt(tmp_path / "none.yaml", "gold")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_prompt(tmp_path / "binary.yaml", "gold")
    with pytest.raises(ConfigError, match="line 1: a mapping with the keys"):
        load_prompt(write(tmp_path, "- a\n"), "gold")


def test_shipped_files_are_the_known_ones() -> None:
    assert prompt_versions(NetHack.prompts) == ["default", "reworded", "short"]
    assert all(path.suffix == ".yaml" for path in NetHack.prompts.iterdir())


@pytest.mark.parametrize(
    "prefill, pattern, answer",
    [
        ("<answer>", r"<answer>\s*(1|2|none)\s*</answer>", "<answer>2</answer>"),
        ('<answer lang="en">', r"<answer[^>]*>(1|2|none)</answer>", '<answer lang="en">2</answer>'),
        ("<reply><best>", r"<best>(1|2|none)</best></reply>", "<reply><best>2</best></reply>"),
        ("[ANSWER]", r"\[ANSWER\](1|2|none)\[/ANSWER\]", "[ANSWER]2[/ANSWER]"),
        ("[[", r"\[\[(1|2|none)\]\]", "[[2]]"),
        ("best: **", r"best: \*\*(1|2|none)\*\*", "best: **2**"),
        (r"\boxed{", r"\\boxed\{(1|2|none)\}", r"\boxed{2}"),
    ],
)
def test_an_answer_closes_what_it_opens(tmp_path, prefill, pattern, answer):
    content = yaml.safe_load((NetHack.prompts / "default.yaml").read_text())
    content |= {"answer_pattern": pattern, "direct_prefill": prefill}
    path = tmp_path / "tags.yaml"
    path.write_text(yaml.safe_dump(content))
    prompt = load_prompt(path, "defaultgoal")
    assert AnswerParser(prompt)(f"Both are fine. {answer}") == Preference.SECOND

"""Testing a judge: figures of made-up answers, and the command on judges that are known."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from scripted_chat import ScriptedChatModel, captions_of, prefer

from motif.annotate.chat import Reply, Request
from motif.annotate.evaluate import Asked, figures, outcomes
from motif.annotate.judges import JudgedPair
from motif.games.captioned import CaptionedGame
from scripts.evaluate_annotator import main


class Mute(CaptionedGame):
    name, tasks = "mute", MappingProxyType({})


def asked(first: list[int], second: list[int], rows: object = None) -> Asked:
    probabilities = np.full((2, len(first), 4), np.nan) if rows is None else np.array(rows, float)
    return Asked(np.array([first, second], np.int8), probabilities, 6.0, 60, 600, False)


def test_figures_of_both_orders() -> None:
    # Right in both orders; what is shown first; wrong in both; tie and unknown.
    said = asked([0, 0, 1, 2], [1, 0, 0, 3])
    found = outcomes(said)
    assert found["right"].tolist() == [1, 0.5, 0, 0]
    assert found["wrong"].tolist() == [0, 0.5, 1, 0]
    assert (found["tie"].sum(), found["unknown"].sum()) == (0.5, 0.5)
    assert "forced" not in found
    judged = [JudgedPair(f"b{i}", f"w{i}", kinds) for i, kinds in enumerate(["ac", "bc"] * 2)]
    told = figures(judged, said)
    assert (told["all"]["pairs"], told["all"]["right"]) == (4, 0.375)
    assert told["all"]["right_95"][0] < 0.375 < told["all"]["right_95"][1]
    assert {kind: row["right"] for kind, row in told["kinds"].items()} == {
        "a": 0.5,
        "b": 0.25,
        "c": 0.375,
    }
    assert told["shown_first"]["first"] == pytest.approx(4 / 6)
    assert (told["seconds_a_label"], told["tokens_read_a_label"]) == (6 / 8, 600 / 8)


def test_forced_answers_ignore_the_margin() -> None:
    rows = [[[0.5, 0.48, 0.02, 0.9], [0.1, 0.2, 0.7, 0], [np.nan] * 4]]
    rows += [[[0.48, 0.5, 0.02, 0.9], [0.2, 0.1, 0.7, 0], [np.nan] * 4]]
    said = asked([2, 2, 3], [2, 2, 3], rows)
    assert outcomes(said)["forced"].tolist() == [1, 0, 0.5]
    judged = [JudgedPair("b", "w", ("k", "l"))] * 3
    assert figures(judged, said)["shown_first"]["first"] == pytest.approx(0.75)


def test_rules_are_judged(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    output = tmp_path / "new" / "rules.json"
    assert main(["--annotator-type", "rules", "--pairs", "60", "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("rules_msg_defaultgoal, 60 pairs in both orders\n")
    assert "0 tokens read and 0 written" in said
    told = json.loads(output.read_text())
    assert told["all"]["right"] > 0.8
    assert told["shown_first"]["first"] == 0.5
    assert len(told["answers"]) == told["all"]["pairs"] == 60
    assert np.mean([answer["right"] for answer in told["answers"]]) == told["all"]["right"]


def test_answers_as_a_table(tmp_path: Path) -> None:
    output = tmp_path / "rules.csv"
    assert main(["--annotator-type", "rules", "--pairs", "9", "--output", str(output)]) == 0
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert rows[0].keys() == {"better", "worse", "kinds", "right", "wrong", "tie", "unknown"}


@pytest.mark.parametrize("mode", ["chain_of_thought", "direct"])
def test_a_model_that_takes_the_first_is_found_out(
    mode: str, scripted_model: ScriptedChatModel, tmp_path: Path
) -> None:
    def answer(request: Request) -> Reply:
        likely = [("1", math.log(0.9)), ("2", math.log(0.1))]
        return Reply(request.tag, '("best_description": 1)', 10, 1, likely)

    scripted_model.answer = answer  # type: ignore[method-assign]
    output = tmp_path / "judge.json"
    assert main(["--answer-mode", mode, "--pairs", "50", "--output", str(output)]) == 0
    told = json.loads(output.read_text())
    assert told["shown_first"]["first"] == 1
    orders = 2 if mode == "direct" else 1
    assert told["tokens_read_a_label"] == 10 * orders
    assert len(scripted_model.asked) == 100
    assert told["all"]["right" if mode == "chain_of_thought" else "tie"] in (0.5, 1)


def test_a_good_model_is_told_from_a_bad_one(
    scripted_model: ScriptedChatModel, tmp_path: Path
) -> None:
    def wrong_share() -> float:
        output = tmp_path / "judge.json"
        line = ["--answer-mode", "direct", "--pairs", "80", "--output", str(output)]
        assert main(line) == 0
        return float(json.loads(output.read_text())["all"]["wrong"])

    good = wrong_share()

    def contrary(request: Request) -> Reply:
        word = prefer(*captions_of(request.messages[1]["content"])[::-1])
        return Reply(request.tag, word, 10, 1, [(word, -0.01)])

    scripted_model.answer = contrary  # type: ignore[method-assign]
    assert wrong_share() > good + 0.3


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("--annotator-type score", "this judge reads {'score'}"),
        ("--use-blstats", "this judge reads {'blstats'}"),
        ("--goal-key fame --annotator-type rules", "no goal 'fame'"),
        ("--annotator-type rules --pairs 100000", "--pairs 100000 are more than there are"),
        ("--game test_evaluate_annotator:Mute", "has no judged pairs"),
    ],
)
def test_what_cannot_be_judged(line: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("--price-in 1", "--price_in is for scripts.annotate_pairs_dataset alone"),
        ("--show-prompt 3", "--show_prompt is for scripts.annotate_pairs_dataset alone"),
        ("--first 9", "--first is for scripts.annotate_pairs_dataset alone"),
        ("--backend batch --model m", "--backend batch answers later"),
        ("--pairs 0", "--pairs must be at least 1, but is 0"),
        ("--output judge.txt", "--output judge.txt must end in .json or .csv"),
    ],
)
def test_flags_that_are_refused(
    line: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(line.split())
    assert problem in capsys.readouterr().err

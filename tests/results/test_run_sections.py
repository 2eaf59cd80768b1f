"""What the report says of runs."""

from __future__ import annotations

import numpy as np
import pytest

from motif.games.nethack.adapter import NetHack
from motif.results.income import Income, Paid
from motif.results.run_sections import (
    correlation,
    curves_section,
    glance_section,
    income_section,
    run_sections,
    signs,
)
from motif.results.runs import Run

COLUMNS = ("env_steps", "return", "length", "extrinsic_return", "intrinsic_return")
COLUMNS += ("score", "dlvl", "gold", "xlvl", "scout")


def run_of(returns, intrinsic, name="run", task="NetHackScore-v1", llm_reward=0.1) -> Run:
    games = len(returns)
    episodes = {column: np.ones(games) for column in COLUMNS}
    episodes |= {
        "env_steps": 100.0 * np.arange(games),
        "return": np.asarray(returns, dtype=float),
        "intrinsic_return": np.asarray(intrinsic, dtype=float),
    }
    return Run(name, {"root_env": task, "llm_reward": llm_reward}, episodes)


def incomes_of(*shares: float) -> list[Income]:
    """One message with these shares, by checkpoint."""
    return [
        Income(
            number,
            games=1,
            steps=10,
            game_return=0.0,
            intrinsic_return=1.0,
            paid=1.0,
            messages=[Paid("It's a wall.", 4, share), Paid("<b>", 1, 1 - share)],
        )
        for number, share in enumerate(shares)
    ]


UP, FLAT = np.linspace(0, 10, 100), np.tile([1.0, 3.0], 50)


@pytest.mark.parametrize(
    ("returns", "intrinsic", "said"),
    [
        (FLAT, UP, "Look closer: the intrinsic return rose and the task's own return did not"),
        (UP, UP, "Both the intrinsic and the task's own return rose"),
        (UP, FLAT, "The intrinsic return did not rise"),
        (UP[:9], UP[:9], "Fewer than ten games"),
    ],
)
def test_signs_from_returns(returns, intrinsic, said):
    first, second = signs(run_of(returns, intrinsic), [])
    assert first.startswith(said)
    assert "--play 5" in second


@pytest.mark.parametrize(("shares", "warned"), [((0.6, 0.9), True), ((0.9, 0.5), False)])
def test_signs_from_messages(shares, warned):
    *_, said = signs(run_of(UP, UP), incomes_of(*shares))
    assert said.startswith("Look closer: one message pays most.") == warned
    assert "“It's a wall.”" in said
    assert f"{100 * shares[1]:.1f} % of the intrinsic reward there" in said
    assert f"{100 * shares[0]:.1f} % under the first" in said


def test_the_sign_is_the_last_policy_s_greatest_message():
    *_, said = signs(run_of(UP, UP), incomes_of(0.9, 0.2))
    assert "“<b>”, paid 80.0 %" in said and "10.0 % under the first" in said


def test_no_intrinsic_reward_cannot_be_hacked():
    (said,) = signs(run_of(UP, 0 * UP, llm_reward=0.0), [])
    assert "no learnt reward to hack" in said


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        ([1, 2, 3], [2, 4, 6], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 1, 1], [1, 2, 3], None),
        ([1, 2], [1, 2], None),
        ([], [], None),
    ],
)
def test_correlation(first, second, value):
    got = correlation(np.array(first, dtype=float), np.array(second, dtype=float))
    assert got == (value if value is None else pytest.approx(value))


def anchors(*arguments) -> list[str]:
    return [section.anchor for section in run_sections(*arguments)]


@pytest.mark.parametrize("games", [0, 1, 100])
def test_sections_of_any_number_of_games(games):
    run = run_of(UP[:games], FLAT[:games])
    assert anchors(run, [], []) == ["glance", "curves", "parts"]
    assert anchors(run, [run_of(UP, UP, "other")], incomes_of(0.5, 0.5)) == [
        *("glance", "curves", "income", "parts"),
    ]


def test_a_bonus_is_named_with_its_share():
    run = run_of(UP, 0 * UP, llm_reward=0.0)
    config = {**run.config, "extrinsic_reward": 0.1, "bonus": "e3b", "bonus_reward": 0.25}
    shares = {**run.episodes, "bonus_share": np.full(100, 0.375)}
    said = glance_section(Run("run", config, shares), []).body
    assert "coefficient of --bonus e3b; 37.5 % of what was paid, last fifth" in said
    counted = glance_section(Run("run", {**config, "bonus": "counts"}, run.episodes), []).body
    assert "coefficient of --bonus counts" in counted and "of what was paid" not in counted
    assert "--bonus" not in glance_section(run, []).body
    assert "NetHackScore-v1, e3b" in said and "NetHackScore-v1, counts" in counted
    assert "run (e3b, " in curves_section([Run("run", config, shares)]).body


def test_an_extrinsic_run_has_no_parts():
    assert anchors(run_of(UP, 0 * UP, llm_reward=0.0), [], []) == ["glance", "curves"]


def test_the_oracle_with_and_without_hallucination():
    oracle = run_of([0] * 50 + [50] * 50, UP, "drunk", "NetHackOracle-v1")
    sober = run_of([0] * 100, UP, "sober", "NetHackOracleSober-v1")
    *_, success = run_sections(oracle, [sober], [])
    text = "".join(success.body)
    assert success.anchor == "success"
    assert "100.0 %" in text and "83.9 % to 100.0 %" in text  # 20 of 20
    assert "0.0 % to 16.1 %" in text
    assert "hallucinates" in text
    *_, alone = run_sections(oracle, [], [])
    assert "hallucinates" not in "".join(alone.body)


def test_income_of_hostile_messages():
    text = "".join(income_section(incomes_of(0.2, 0.3), NetHack.kinds).body)
    assert "<b>" not in text and "&lt;b&gt;" in text
    assert "bumps into things" in text
    assert "30.0 %" in text and "70.0 %" in text


def test_a_game_without_nethacks_columns_and_with_its_own_success():
    few = {name: np.ones(100) for name in COLUMNS[:5]} | {"return": -UP, "solved": np.ones(100)}
    config = {"game": "minihack", "root_env": "MiniHack-Room-5x5-v0", "llm_reward": 0.0}
    run = Run("rooms", config, few)
    body = curves_section([run]).body
    assert "dungeon level" not in body and "): solved" in body
    assert run.solved.all() and not Run("older", config, {"return": -UP}).solved.any()

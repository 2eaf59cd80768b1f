"""The answer parser on what models really write; probabilities to labels."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif.annotate.answers import (
    AnswerParser,
    answer_masses,
    combine_orders,
    label_probabilities,
)
from motif.annotate.prompt import load_shipped_prompt
from motif.preference.labels import Preference

FIRST, SECOND, TIE, UNKNOWN = Preference
DEFAULT = load_shipped_prompt("default", "defaultgoal")
REWORDED = load_shipped_prompt("reworded", "defaultgoal")
PARSE = AnswerParser(DEFAULT)
INSTRUCTION = DEFAULT.template[DEFAULT.template.index("Close with") : DEFAULT.template.index("{")]

ANSWERS = [
    ('("best_description": 1)', FIRST),
    ('("best_description": 2)', SECOND),
    ('("best_description": None)', TIE),
    ('Reasoning.\n\n("best_description": 2)', SECOND),
    ('("best_description": "1")', FIRST),
    ("('best_description': '2')", SECOND),
    ('{"best_description": 1}', FIRST),
    ('```json\n{"best_description": 2}\n```', SECOND),
    ('**("best_description": 2)**', SECOND),
    ('("best_description": **1**)', FIRST),
    ("**best_description**: `2`", SECOND),
    ("(“best_description”: 1)", FIRST),
    (r'("best\_description": 2)', SECOND),
    ('("Best_Description" : 2 )', SECOND),
    ("best description: 1", FIRST),
    ("The best description is 2.", SECOND),
    ("The best description is description 2, as gold is score.", SECOND),
    ('("best_description": "description_1")', FIRST),
    ('("best_description": none)', TIE),
    ('("best_description": null)', TIE),
    ('("best_description": Neither)', TIE),
    ('("best_description"=1)', FIRST),
    # Both numbers named in the reasoning.
    ('Description 1 is worse than description 2.\n("best_description": 2)', SECOND),
    # A change of mind: the last decision counts.
    ('("best_description": 1)\nWait, the gold.\n("best_description": 2)', SECOND),
    # The same decision twice.
    ('("best_description": 2), that is ("best_description": 2)', SECOND),
    # Echoes and lists of possibilities are no decisions.
    (f'{INSTRUCTION}\nNow: ("best_description": 2)', SECOND),
    (f"Sure. {INSTRUCTION} I hope this helps.", None),
    (f'("best_description": 2)\n{INSTRUCTION} Done.', SECOND),
    ('("best_description": 1/2/None)', None),
    ('("best_description": 1 or 2)', None),
    ('("best_description": 1), ("best_description": 2) or ("best_description": None)', None),
    ('Answer with ("best_description": 1) or ("best_description": 2).', None),
    # Other numbers.
    ('("best_description": 12)', None),
    ('("best_description": 1.5)', None),
    ('("best_description": 3)', None),
    ('("best_description": 1st)', None),
    ('("best_description": nonetheless)', None),
    ('("best_description": )', None),
    # A bare decision, as the retry asks for.
    ("1", FIRST),
    (" **2** ", SECOND),
    ("(None)", TIE),
    ("Answer: 2.", SECOND),
    ("My final answer is description 1", FIRST),
    ("1 or 2", None),
    # Nothing to be found.
    ("", None),
    ("I cannot decide between the two descriptions.", None),
    ("Description 1 tells of a newt.", None),
    ("11", None),
]


THOUGHT = '<think>perhaps ("best_description": 2) … no</think>'
HARMONY = '<|channel|>analysis<|message|>Maybe ("best_description": 2).<|end|>'
FINAL = "<|start|>assistant<|channel|>final<|message|>"
JSON_REASONS = '"reasons": "gold; not (\\"best_description\\": 2)"'

REASONING_MODELS = [
    # What is thought is not said.
    (f"{THOUGHT} 1", FIRST),
    (f'{THOUGHT}\n("best_description": 1)', FIRST),
    ('perhaps ("best_description": 2)</think>("best_description": 1)', FIRST),
    ("2? </think> no </think> 1", FIRST),
    ('<thinking>("best_description": 2)</thinking> None', TIE),
    ('[THINK]("best_description": 2)[/THINK]("best_description": 1)', FIRST),
    ('◁think▷("best_description": 2)◁/think▷ ("best_description": 1)', FIRST),
    (THOUGHT, None),
    ('<think>It is ("best_description": 2)', None),
    ('</think><think>("best_description": 2)', None),
    ('[THINK]("best_description": 2)', None),
    (f'{HARMONY}{FINAL}("best_description": 1)<|return|>', FIRST),
    (f"{HARMONY}{FINAL}1", FIRST),
    (f'{HARMONY}{FINAL[:-11]} <|constrain|>json<|message|>{{"best_description": 1}}', FIRST),
    (HARMONY, None),
    (f'{FINAL}("best_description": 2)<|end|>{HARMONY}', None),
    ('analysisIt is 2.assistantfinal("best_description": 1)', FIRST),
    ('analysisIt may be ("best_description": 2)', None),
    ('Analysis: gold.\n("best_description": 2)', SECOND),
    # Other frames around the decision.
    (r"Thus \boxed{1}", FIRST),
    (r"Gold is score. $\boxed{\text{description 2}}$", SECOND),
    (r'("best_description": 2)? No: \boxed{1}.', FIRST),
    (r"\boxed{x + 1}", None),
    ("<answer>2</answer>", SECOND),
    ("<think>2</think>Long story.<answer> None </answer>", TIE),
    ("1<|im_end|>", FIRST),
    ('("best_description": 2)</s>', SECOND),
    # JSON as JSON: the decision first, reasons after.
    (f'{{"best_description": 1, {JSON_REASONS}}}', FIRST),
    (f'```json\n{{"best_description": "description_1", {JSON_REASONS}}}\n```', FIRST),
    (f'{{{JSON_REASONS}, "best_description": null}}', TIE),
    ('{"answer": {"best_description": "first"}}', FIRST),
    ('{"reasons": "2 is a wall", "final_answer": 1}', FIRST),
    ('{"name": "judge", "arguments": {"best_description": 2}}', SECOND),
    ('{"best_description": true}', None),
    ('{"best_description": 12}', None),
    ('{"description_1": 7, "description_2": 9}', None),
    ('First {"best_description": 1}. Wait: {"best_description": 2}', SECOND),
    # Full-width and other typography.
    ("（＂best_description＂：１）", FIRST),
    ("('best_description'： ２）", SECOND),
    ("「best_description」：「２」", SECOND),
    ("１", FIRST),
    ("②", SECOND),
    ("\u200b2。", SECOND),
    # In words.
    ('("best_description": first)', FIRST),
    ('("best_description": "Second")', SECOND),
    ("The best description is the second one.", SECOND),
    ('("best_description": Both)', TIE),
    ('("best_description": tie)', TIE),
    ('("best_description": N/A)', TIE),
    ("The best description is first of all a matter of taste.", None),
    ("The first one.", FIRST),
    ("Second", SECOND),
    ("Both.", TIE),
    ("It's a tie.", TIE),
    ("N/A", TIE),
    ("Equal", TIE),
    ("not equal", None),
    ("The first description is worse.", None),
    ('("best_description": first or second)', None),
    # The decision wins over a mention after it.
    ("1, rather than 2", FIRST),
    ("2 instead of 1.", SECOND),
    ("1, not 2", FIRST),
    ("1 over 2", FIRST),
    ("Description 1 is better than description 2.", FIRST),
    ("1, because 2 is only a wall.", FIRST),
    ("1, because of the gold; but 2 is safer.", None),
    ("Not 2", None),
    ('("best_description": 1), rather than ("best_description": 2)', FIRST),
    ('("best_description": 1), not ("best_description": 2).', FIRST),
    ('("best_description": 1). Were it for gold, it would be ("best_description": 2).', None),
    ('My answer would be ("best_description": 2).', SECOND),
    (
        "The first one is better because of the gold. Yet gold is all. " * 4
        + '("best_description": 2)',
        SECOND,
    ),
]


@pytest.mark.parametrize(("text", "label"), REASONING_MODELS)
def test_what_reasoning_models_and_their_servers_write(text: str, label: Preference | None) -> None:
    assert PARSE(text) == label


def test_a_pattern_with_brackets_and_a_named_group_takes_words_too() -> None:
    prompt = dataclasses.replace(
        DEFAULT,
        answer_pattern=r"verdict[(:] \(?(?:x)?(?P<side>1|2|none)",
        direct_prefill="verdict: ",
    )
    parse = AnswerParser(prompt)
    assert [parse(f"verdict: {said}") for said in ("1", "second", "both", "11")] == [
        *(FIRST, SECOND, TIE),
        None,
    ]
    assert parse(r"so \boxed{2}") == SECOND


@pytest.mark.parametrize(("text", "label"), ANSWERS)
def test_what_models_write(text: str, label: Preference | None) -> None:
    assert PARSE(text) == label


def test_the_other_wording_has_its_own_word() -> None:
    parse = AnswerParser(REWORDED)
    assert parse('("best_message": 1)') == FIRST
    assert parse('("best_description": 1) for sure, there is no doubt') is None


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_not_without_an_error(text: str) -> None:
    assert PARSE(text) in (None, FIRST, SECOND, TIE)


@given(
    st.text(alphabet=st.characters(exclude_categories=["N"]), max_size=80).filter(
        lambda text: "best" not in text.lower()
    ),
    st.sampled_from([("1", FIRST), ("2", SECOND), ("None", TIE)]),
)
def test_a_last_line_with_the_decision_is_found(prose: str, answer: tuple[str, Preference]) -> None:
    assert PARSE(f'{prose}.\n\n("best_description": {answer[0]})') == answer[1]


def test_long_rambling_is_parsed_in_no_time() -> None:
    text = '("best_description": ' * 3000 + " or ," * 5000
    assert PARSE(text) is None


def test_masses_of_the_next_token() -> None:
    candidates = [("1", 0.5), (" 2", 0.2), ("None", 0.05), ("N", 0.05), ("12", 0.1), ("", 0.1)]
    masses = answer_masses([(text, math.log(p)) for text, p in candidates])
    assert masses == pytest.approx([0.5, 0.2, 0.1])


def test_both_orders_are_renormalised_and_averaged() -> None:
    probabilities, mass = combine_orders(np.array([0.4, 0.1, 0.0]), np.array([0.2, 0.6, 0.2]))
    # In the first order the side shown first leads by 0.6, in the other it lags by 0.4.
    assert probabilities == pytest.approx([(0.8 + 0.6) / 2, (0.2 + 0.2) / 2, 0.1, 0.1])
    assert mass == pytest.approx(0.75)


def test_an_order_without_any_mass_is_unknown() -> None:
    probabilities, mass = combine_orders(np.zeros(3), np.array([1.0, 0.0, 0.0]))
    assert mass == 0.0
    assert label_probabilities(probabilities, mass, tie_margin=0.1, min_mass=0.0) == UNKNOWN


@pytest.mark.parametrize(
    ("probabilities", "mass", "label"),
    [
        ((0.6, 0.3, 0.1), 0.9, FIRST),
        ((0.3, 0.6, 0.1), 0.9, SECOND),
        ((0.45, 0.40, 0.15), 0.9, TIE),  # within the margin
        ((0.3, 0.1, 0.6), 0.9, TIE),
        ((0.9, 0.1, 0.0), 0.4, UNKNOWN),  # too little covered
    ],
)
def test_labels_of_probabilities(
    probabilities: tuple[float, ...], mass: float, label: Preference
) -> None:
    found = label_probabilities(np.array(probabilities), mass, tie_margin=0.1, min_mass=0.5)
    assert found == label


@given(
    st.lists(st.floats(0.001, 1), min_size=3, max_size=3),
    st.lists(st.floats(0.001, 1), min_size=3, max_size=3),
)
def test_swapping_the_sides_swaps_the_probabilities(one: list[float], other: list[float]) -> None:
    forward, mass = combine_orders(np.array(one), np.array(other))
    backward, same_mass = combine_orders(np.array(other), np.array(one))
    assert backward[[1, 0, 2, 3]] == pytest.approx(forward)
    assert mass == same_mass
    assert forward[:3].sum() == pytest.approx(1)

"""Comparing label sets: formulas on hand-made labels, and the command."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motif.annotate.compare import as_shown, compare, most_disagreed, position_bias
from motif.pairs_dataset import PairsDataset
from scripts.annotate_pairs_dataset import main as annotate
from scripts.compare_annotators import main

label_lists = st.lists(st.integers(0, 3), min_size=1, max_size=50)


def labels(*values: int) -> np.ndarray:
    return np.array(values, np.int8)


def test_agreement_and_kappa_by_hand() -> None:
    # 10 pairs: 7 equal; chance 0.5 * 0.4 + 0.5 * 0.6 = 0.5; kappa (0.7 - 0.5) / 0.5.
    one = labels(0, 0, 0, 0, 0, 1, 1, 1, 1, 1)
    other = labels(0, 0, 0, 1, 1, 1, 1, 1, 1, 0)
    found = compare(one, other)
    assert (found.pairs, found.agreement, found.opposed) == (10, 0.7, 0.3)
    assert found.kappa == pytest.approx(0.4)


def test_unknown_pairs_are_left_out() -> None:
    found = compare(labels(0, 3, 1, 2), labels(0, 1, 3, 2))
    assert (found.pairs, found.agreement) == (2, 1.0)


def test_nothing_in_common() -> None:
    found = compare(labels(3, 3), labels(0, 1))
    assert found.pairs == 0
    assert math.isnan(found.kappa)


@given(label_lists)
def test_a_set_agrees_with_itself(values: list[int]) -> None:
    found = compare(labels(*values), labels(*values))
    assert found.pairs == 0 or (found.agreement, found.kappa) == (1.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_agreement_is_symmetric(couples: list[tuple[int, int]]) -> None:
    one, other = (labels(*side) for side in zip(*couples))
    assert compare(one, other).kappa == pytest.approx(compare(other, one).kappa, nan_ok=True)


def test_position_bias() -> None:
    fair = position_bias(labels(*[0, 1] * 100, 2, 3))
    assert fair.first == 0.5
    assert not fair.biased
    assert position_bias(labels(*[0] * 70, *[1] * 30)).biased
    assert not position_bias(labels(2, 2)).biased


def test_leans_of_symmetric_labels_show_the_bias() -> None:
    # Two questions: one answered alike in both orders, one with whatever is shown first.
    probabilities = np.array([[0.8, 0.1, 0.1, 0.0], [0.5, 0.4, 0.1, 0.6], [0, 0, 1, np.nan]])
    shown = as_shown(labels(0, 2, 2), probabilities)
    assert shown.tolist() == [0, 0, 1, 0]
    assert as_shown(labels(0, 2, 2), None).tolist() == [0, 2, 2]


def test_opposite_preferences_are_the_worst_disagreement() -> None:
    one, other = labels(0, 0, 2, 3, 1), labels(0, 2, 2, 0, 0)
    assert most_disagreed([one, other], 10).tolist() == [4, 1]


def test_the_command(
    make_dataset: Callable[..., PairsDataset], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(make_dataset(200).directory)
    for kind in ("rules", "score"):
        annotate(["--directory", directory, "--annotator-type", kind])
    capsys.readouterr()
    assert main(["--directory", directory, "rules_msg_defaultgoal", "score", "--most", "2"]) == 0
    said = capsys.readouterr().out
    assert "rules_msg_defaultgoal / score" in said
    assert said.count("\npair ") == 2
    picture = make_dataset(1, name="other").directory.parent / "motif_dataset/preference"
    assert (picture / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_disagreements_that_nobody_wants(
    make_dataset: Callable[..., PairsDataset], capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(make_dataset(30).directory)
    for kind in ("rules", "score"):
        annotate(["--directory", directory, "--annotator-type", kind])
    capsys.readouterr()
    run = ["--directory", directory, "rules_msg_defaultgoal", "score", "--most"]
    assert main([*run, "0"]) == 0
    assert "\npair " not in capsys.readouterr().out
    assert main([*run, "-1"]) == 2
    assert "--most must be at least 0, but is -1" in capsys.readouterr().err


def test_a_set_that_is_not_there(
    make_dataset: Callable[..., PairsDataset], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--directory", str(make_dataset(5).directory), "nobody"]) == 2
    assert "no label set 'nobody'" in capsys.readouterr().err

"""What was paid for which message, kept between reports."""

from __future__ import annotations

import numpy as np
import pytest

from motif.errors import CheckpointError
from motif.results.income import (
    Income,
    Paid,
    read_income,
    share_table,
    top_messages,
    write_income,
)


def income_of(env_steps: int, **paid: float) -> Income:
    messages = [Paid(text, 3, value) for text, value in paid.items()]
    total = sum(value for value in paid.values() if value > 0)
    return Income(env_steps, 2, 100, 1.5, total / 2, total, messages)


def test_round_trip(tmp_path):
    incomes = [income_of(1000, a=3.0, b=1.0), income_of(2000)]
    path = tmp_path / "messages_paid.json"
    write_income(path, {"games": 2}, incomes)
    assert read_income(path) == incomes
    assert read_income(tmp_path / "nothing.json") == []


@pytest.mark.parametrize("content", ["{", "[]", '{"checkpoints": [{}]}', '{"checkpoints": [1]}'])
def test_damaged(tmp_path, content):
    path = tmp_path / "messages_paid.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=r"messages_paid\.json cannot be read .*--play 5"):
        read_income(path)


def test_shares_are_of_what_was_paid():
    # the threshold may be off: then some messages cost reward, and are no part of the payments
    assert income_of(0, a=3.0, b=1.0, c=-8.0).shares() == {"a": 0.75, "b": 0.25}
    assert income_of(0).shares() == {}


def test_those_that_paid_most_first():
    paid = {"a": 1.0, "b": 5.0, "c": 1.0, "d": -1.0}
    top = top_messages(dict.fromkeys("abcd", 2), paid, most=3)
    assert top == [Paid("b", 2, 5.0), Paid("a", 2, 1.0), Paid("c", 2, 1.0)]


def test_a_table_of_the_largest_shares():
    names, shares = share_table([income_of(0, a=1.0, b=3.0), income_of(9, c=4.0, a=1.0)], 2)
    assert names == ["c", "b"]
    np.testing.assert_allclose(shares, [[0, 0.75], [0.8, 0]])


def test_a_table_of_nothing():
    names, shares = share_table([income_of(0)], 5)
    assert names == []
    assert shares.shape == (1, 0)

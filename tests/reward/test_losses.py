"""Bradley-Terry cross-entropy and accuracy: expected numbers and what must always hold."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motif.reward.losses import (
    count_agreements,
    preference_loss,
    targets_from_labels,
    targets_from_probabilities,
)

SCORES = st.lists(
    st.tuples(*[st.floats(-20, 20, allow_nan=False, width=32)] * 2), min_size=1, max_size=9
)


def tensors(scores, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels_B = torch.randint(3, (len(scores),), generator=generator)
    return torch.tensor(scores, dtype=torch.double), labels_B


def test_targets_of_first_second_and_tie():
    targets = targets_from_labels(torch.tensor([0, 1, 2]))
    assert targets.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    assert targets.dtype == torch.float32


def test_the_mass_of_a_tie_goes_half_to_each_side():
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])
    targets = targets_from_probabilities(probabilities)
    torch.testing.assert_close(targets, torch.tensor([[0.6, 0.4], [0.5, 0.5]]))


@pytest.mark.parametrize(
    ("scores", "target", "loss"),
    [
        ((1.0, 1.0), (1.0, 0.0), math.log(2)),
        ((7.0, 7.0), (0.5, 0.5), math.log(2)),
        ((math.log(3), 0.0), (1.0, 0.0), math.log(4 / 3)),  # P(first) = 3/4
        ((math.log(3), 0.0), (0.0, 1.0), math.log(4)),
        ((math.log(3), 0.0), (0.25, 0.75), 0.25 * math.log(4 / 3) + 0.75 * math.log(4)),
    ],
)
def test_loss_of_one_pair(scores, target, loss):
    value = preference_loss(torch.tensor([scores]), torch.tensor([target]))
    assert value.item() == pytest.approx(loss, rel=1e-6)


def test_loss_is_the_mean_over_pairs():
    scores = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    loss = preference_loss(scores, targets_from_labels(torch.tensor([0, 1])))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, rel=1e-6)


def test_gradient_is_probability_minus_target():
    scores = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]], requires_grad=True)
    preference_loss(scores, targets_from_labels(torch.tensor([1, 2]))).backward()
    expected = torch.tensor([[0.75 - 0, 0.25 - 1], [0.5 - 0.5, 0.5 - 0.5]]) / 2
    torch.testing.assert_close(scores.grad, expected)


@given(scores=SCORES, seed=st.integers(0, 99))
def test_swapping_sides_and_labels_keeps_loss_and_accuracy(scores, seed):
    scores_BP, labels_B = tensors(scores, seed)
    swapped = torch.tensor([1, 0, 2])[labels_B]
    loss = preference_loss(scores_BP, targets_from_labels(labels_B).double())
    same = preference_loss(scores_BP.flip(1), targets_from_labels(swapped).double())
    torch.testing.assert_close(same, loss)
    assert count_agreements(scores_BP.flip(1), swapped) == count_agreements(scores_BP, labels_B)


@given(scores=SCORES, shift=st.floats(-50, 50), seed=st.integers(0, 99))
def test_a_constant_added_to_both_sides_changes_nothing(scores, shift, seed):
    scores_BP, labels_B = tensors(scores, seed)
    targets_BP = targets_from_labels(labels_B).double()
    loss = preference_loss(scores_BP, targets_BP)
    torch.testing.assert_close(preference_loss(scores_BP + shift, targets_BP), loss)


def test_accuracy_counts_pairs_with_a_preference_only():
    scores = torch.tensor([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [1.0, 1.0], [1.0, 2.0]])
    agreeing, preferred = count_agreements(scores, torch.tensor([0, 1, 1, 0, 2]))
    assert (agreeing.item(), preferred.item()) == (2.5, 4)  # equal scores agree by half


def test_accuracy_of_ties_alone_has_nothing_to_count():
    agreeing, preferred = count_agreements(torch.rand(4, 2), torch.full((4,), 2))
    assert (agreeing.item(), preferred.item()) == (0, 0)

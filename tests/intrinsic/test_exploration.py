"""The exploration bonuses against closed forms and plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motif.intrinsic.exploration import RunningDeviation, elliptical_bonus, noveld, rnd_error

RIDGE = 0.1


def dense_bonus(features_TF, begins_T, ridge=RIDGE):
    """Each step's matrix inverted anew, in float64."""
    paid = []
    for step, phi in enumerate(features_TF):
        if begins_T[step]:
            covariance = ridge * np.eye(len(phi))
        paid.append(phi @ np.linalg.inv(covariance) @ phi)
        covariance = covariance + np.outer(phi, phi)
    return np.array(paid)


def fresh(games, features, ridge=RIDGE, dtype=torch.float32):
    return torch.eye(features, dtype=dtype).expand(games, -1, -1) / ridge


def begins_at(games, steps, *places):
    begins = torch.zeros(games, steps, dtype=torch.bool)
    for place in places:
        begins[place] = True
    return begins


def test_rnd_is_half_the_squared_distance():
    predicted = torch.tensor([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    assert rnd_error(predicted, torch.zeros(2, 3)).tolist() == [4.5, 0.0]
    assert rnd_error(predicted.view(2, 1, 3), predicted.view(2, 1, 3)).shape == (2, 1)


def test_rnd_fades_where_the_predictor_has_learnt():
    """Gradient descent on ½‖w·x − f‖² at one x: the error shrinks by (1 − rate · x²)² a step."""
    weight = torch.zeros(1, requires_grad=True)
    x, target, rate, errors = 2.0, torch.tensor([3.0]), 0.1, []
    for _ in range(4):
        error = rnd_error(weight * x, target)
        errors.append(error.item())
        (gradient,) = torch.autograd.grad(error, weight)
        weight = (weight - rate * gradient).detach().requires_grad_()
    expected = [4.5 * (1 - rate * x * x) ** (2 * step) for step in range(4)]
    assert errors == pytest.approx(expected)


def test_noveld_pays_the_rise_at_the_first_visit():
    novelty = torch.tensor([2.0, 2.0, 0.1, 5.0])
    before = torch.tensor([0.0, 1.0, 2.0, 1.0])
    first = torch.tensor([True, True, True, False])
    assert noveld(novelty, before, first, 0.5).tolist() == pytest.approx([2.0, 1.5, 0.0, 0.0])
    assert noveld(novelty, before, first, 0.1).tolist() == pytest.approx([2.0, 1.9, 0.0, 0.0])


def test_e3b_by_hand():
    """In one dimension b is φ² / (ridge + the squares before), from the start of the episode."""
    phi = torch.tensor([[[1.0], [2.0], [1.0], [3.0]]])
    begins = begins_at(1, 4, (0, 0), (0, 3))
    paid, inverse = elliptical_bonus(torch.full((1, 1, 1), 7.0), phi, begins, RIDGE)
    assert paid[0].tolist() == pytest.approx([10.0, 4 / 1.1, 1 / 5.1, 90.0], rel=1e-5)
    assert inverse.item() == pytest.approx(1 / 9.1, rel=1e-4)


def test_e3b_is_the_dense_inverse_over_a_whole_episode():
    """5,000 steps, the tasks' length, of correlated features with a large mean."""
    rng = np.random.default_rng(3)
    mixed = rng.normal(size=(5000, 8)) @ rng.normal(size=(8, 32)) + 3 * rng.normal(size=32)
    features = (mixed + 0.3 * rng.normal(size=mixed.shape)).astype(np.float32)
    begins = begins_at(1, 5000, (0, 0), (0, 3000))
    paid, _ = elliptical_bonus(fresh(1, 32), torch.from_numpy(features)[None], begins, RIDGE)
    expected = dense_bonus(features.astype(np.float64), begins[0].numpy())
    np.testing.assert_allclose(paid[0].numpy(), expected, rtol=0.02)


def test_e3b_goes_on_where_the_last_rollout_ended():
    features = torch.randn(3, 64, 16, generator=torch.Generator().manual_seed(1))
    begins = begins_at(3, 64, (slice(None), 0), (1, 40))
    whole, end = elliptical_bonus(fresh(3, 16), features, begins, RIDGE)
    state, parts = fresh(3, 16), []
    for start in range(0, 64, 32):
        step = slice(start, start + 32)
        paid, state = elliptical_bonus(state, features[:, step], begins[:, step], RIDGE)
        parts.append(paid)
    assert torch.equal(torch.cat(parts, dim=1), whole)
    assert torch.equal(state, end)


def test_e3b_games_do_not_see_one_another_and_the_state_given_is_kept():
    features = torch.randn(2, 20, 4, generator=torch.Generator().manual_seed(2))
    begins = begins_at(2, 20, (slice(None), 0), (1, 7))
    given_state = fresh(2, 4).clone()
    both, _ = elliptical_bonus(given_state, features, begins, RIDGE)
    assert torch.equal(given_state, fresh(2, 4))
    alone, _ = elliptical_bonus(fresh(1, 4), features[1:], begins[1:], RIDGE)
    torch.testing.assert_close(both[1:], alone)
    assert both[1, 7] == pytest.approx(10 * features[1, 7].square().sum().item(), rel=1e-5)


floats = st.floats(-100, 100, width=32)


@given(st.lists(floats, min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_rnd_is_never_negative_and_0_only_for_equals(values, seed):
    predicted = torch.tensor(values)
    target = torch.from_numpy(np.random.default_rng(seed).permutation(predicted.numpy()))
    error = rnd_error(predicted, target).item()
    assert error == pytest.approx(0.5 * ((predicted - target).double() ** 2).sum().item(), rel=1e-5)
    assert (error == 0) == torch.equal(predicted, target) or error < 1e-30


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans(), st.floats(0, 1))
def test_noveld_lies_between_0_and_the_novelty(novelty, before, first, alpha):
    paid = noveld(*map(torch.tensor, (novelty, before, first)), alpha).item()
    assert 0 <= paid <= torch.tensor(novelty).item()
    assert first or paid == 0
    if first and alpha * before == 0:
        assert paid == torch.tensor(novelty).item()


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 30), st.floats(0.05, 5), st.integers(0, 2**32 - 1))
def test_e3b_is_the_dense_inverse_and_fades_with_repetition(size, steps, ridge, seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(steps, size))
    features = np.concatenate([features, features[-1:]])  # the last is seen twice
    begins = torch.from_numpy(rng.random((1, steps + 1)) < 0.2)
    begins[0, 0], begins[0, -1] = True, False
    state = fresh(1, size, ridge, torch.float64)
    paid, inverse = elliptical_bonus(state, torch.from_numpy(features)[None], begins, ridge)
    np.testing.assert_allclose(paid[0], dense_bonus(features, begins[0].numpy(), ridge), rtol=1e-7)
    assert (paid >= 0).all()
    assert paid[0, -1].item() == pytest.approx(paid[0, -2].item() / (1 + paid[0, -2].item()))
    assert torch.linalg.eigvalsh(inverse).min() > 0


@given(st.lists(st.lists(floats, min_size=1, max_size=8), min_size=1, max_size=8))
def test_the_running_deviation_is_that_of_all_values(batches):
    running = RunningDeviation()
    for batch in batches:
        divided = running(torch.tensor(batch))
    values = np.concatenate(batches)
    deviation = values.std()
    assert running.mean.item() == pytest.approx(values.mean(), abs=1e-6)
    if deviation <= 1e-8:
        assert running.deviation.item() == 1.0
    elif deviation > 1e-6:
        assert running.deviation.item() == pytest.approx(deviation, rel=1e-6, abs=1e-9)
        assert divided.numpy() == pytest.approx(np.array(batches[-1]) / deviation, rel=1e-4)


def test_a_bonus_that_never_changes_is_paid_as_it_is():
    running = RunningDeviation()
    assert running(torch.full((4,), 0.25)).tolist() == [0.25] * 4


def test_the_running_deviation_goes_on_from_its_state():
    whole, first = RunningDeviation(), RunningDeviation()
    values = torch.randn(3, 10, generator=torch.Generator().manual_seed(0)) + 1000
    whole(values[0])
    first(values[0])
    second = RunningDeviation()
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(values[1]), whole(values[1]))
    assert math.isclose(whole.deviation.item(), values[:2].double().std(correction=0).item())

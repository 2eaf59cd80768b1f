"""The trained bonuses: what they pay over rollouts, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bonus_batches import ACTIONS, joined, make_bonus, part, play

from motif.intrinsic.exploration import rnd_error

ENDS = ((1, 20), (1, 31), (2, 40))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def paid(bonus, batch):
    with torch.no_grad():
        return bonus(batch)[0]


def by_hand(name, bonus, batch):
    """The papers' formulas, game by game and step by step, in numpy."""
    seen = {key: values[:, :-1].flatten(0, 1) for key, values in batch["obs"].items()}
    with torch.no_grad():
        if name == "e3b":
            values = bonus.encoder(seen).double().numpy()
            values /= np.linalg.norm(values, axis=-1, keepdims=True)
        else:
            values = rnd_error(bonus.predictor(seen), bonus.target(seen)).numpy()
    values = values.reshape(*batch["dones"].shape, *values.shape[1:])
    trace = batch["obs"]["trace"].numpy()
    result = np.zeros(batch["dones"].shape)
    for game, steps in enumerate(values):
        for step, value in enumerate(steps):
            begins = trace[game, step, 1] == 0
            if name == "e3b":
                if begins:
                    covariance = 0.1 * np.eye(len(value))
                result[game, step] = value @ np.linalg.inv(covariance) @ value
                covariance = covariance + np.outer(value, value)
            elif name == "noveld":
                before = 0 if begins else steps[step - 1]
                result[game, step] = max(value - 0.1 * before, 0) * trace[game, step, 2]
            else:
                result[game, step] = value
    return result


@pytest.mark.parametrize("name", ["rnd", "noveld", "e3b"])
def test_a_rollout_is_paid_by_the_formula(name):
    batch = play(ends=ENDS)
    bonus = make_bonus(name)
    np.testing.assert_allclose(paid(bonus, batch), by_hand(name, bonus, batch), rtol=1e-3)


@pytest.mark.parametrize("name", ["noveld", "e3b"])
def test_an_episode_goes_on_from_rollout_to_rollout(name):
    """In parts, other games first, and two rollouts of a game in one batch."""
    batch, bonus = play(ends=ENDS), make_bonus(name)
    expected = by_hand(name, bonus, batch)
    parts = [
        ([3, 1], 0, 32),
        ([0, 2], 0, 32),
        ([1, 2, 3, 0], 32, 64),
    ]
    for rows, start, stop in parts:
        result = paid(bonus, part(batch, rows, start, stop))
        np.testing.assert_allclose(result, expected[rows, start:stop], rtol=1e-3)
    again = make_bonus(name)
    both = joined(part(batch, [1, 2], 0, 32), part(batch, [2, 1], 32, 64))
    result = paid(again, both)
    np.testing.assert_allclose(result[:2], expected[[1, 2], :32], rtol=1e-3)
    np.testing.assert_allclose(result[2:], expected[[2, 1], 32:], rtol=1e-3)


def test_the_first_step_of_a_game_does_not_drown_the_others():
    """Whatever the size of the features: it pays 1 / ridge, as one that has nothing of the past."""
    batch, bonus = play(), make_bonus("e3b")
    small = paid(bonus, batch)
    assert small[:, 0].numpy() == pytest.approx(10)
    assert (small <= 10.001).all()
    with torch.no_grad():
        for parameter in bonus.encoder[-1].parameters():
            parameter *= 100
    torch.testing.assert_close(paid(bonus, batch), small, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["noveld", "e3b"])
def test_an_episode_that_begins_forgets_the_last_one(name):
    batch, bonus = play(), make_bonus(name)
    first = paid(bonus, batch)
    assert torch.equal(paid(bonus, batch), first)  # every game at step 0 again


@pytest.mark.parametrize("name", ["rnd", "noveld", "e3b"])
def test_what_it_learns_from_pays_less_or_is_told_apart(name):
    bonus, batch = make_bonus(name), play(games=2, steps=16)
    for step in range(17):  # the action is what the next cells show
        batch["obs"]["cells"][:, step] = batch["actions"][:, max(step - 1, 0), :, None].short() + 65
    optimiser = torch.optim.Adam((p for p in bonus.parameters() if p.requires_grad), lr=1e-3)
    fixed = {key: value.clone() for key, value in bonus.state_dict().items() if "target" in key}
    losses = []
    for _ in range(60):
        loss = bonus(batch)[1]
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < losses[0] / 3
    if name == "e3b":
        assert losses[0] == pytest.approx(np.log(ACTIONS), abs=0.6)
    for key, value in fixed.items():
        assert torch.equal(bonus.state_dict()[key], value)


def test_an_action_that_ended_the_episode_teaches_nothing():
    bonus = make_bonus("e3b")
    batch = play(games=1, steps=8, ends=((0, 7),))
    loss = bonus(batch)[1].item()
    batch["obs"]["cells"][0, 8] = 0  # the next game's first
    assert bonus(batch)[1].item() == pytest.approx(loss)
    batch["dones"][0, 7] = False
    assert bonus(batch)[1].item() != pytest.approx(loss)
    batch["dones"][:] = True
    assert bonus(batch)[1].item() == 0


@pytest.mark.parametrize("name", ["rnd", "noveld", "e3b"])
def test_a_checkpoint_holds_no_game_that_is_being_played(name):
    bonus = make_bonus(name)
    before = {key: value.clone() for key, value in bonus.state_dict().items()}
    paid(bonus, play())
    after = bonus.state_dict()
    assert before.keys() == after.keys()
    assert not {"last", "inverse"} & after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)

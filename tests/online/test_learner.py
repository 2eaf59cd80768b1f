"""The three rewards that labels become."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motif.errors import CheckpointError
from motif.messages import encode
from motif.online.labels import Labels
from motif.online.learner import BATCH, PASSES, STEPS, Learner, check_start
from motif.reward.checkpoint import load_reward_model
from motif.reward.training import train_step

GOOD = [f"You kill the monster number {i}!".encode() for i in range(12)]
BAD = [f"Wall {i} is solid stone.".encode() for i in range(12)]


def rows(*texts):
    return np.stack([encode(text.decode("latin-1")) for text in texts])


@pytest.fixture
def judged(folder):
    """Each message against none: some are better, some worse, some equal, one unknown."""
    folder.mkdir(parents=True)
    labels = Labels(folder)
    labels.add([(text, b"") for text in GOOD], [0] * len(GOOD))
    labels.add([(text, b"") for text in BAD], [1, 2] * (len(BAD) // 2))
    labels.add([(b"Huh?", b"")], [3])
    return labels


@pytest.fixture
def compared(folder):
    """Good ones are better than bad ones, and equals tie."""
    folder.mkdir(parents=True)
    labels = Labels(folder)
    labels.add(list(zip(GOOD, BAD)), [0] * len(GOOD))
    labels.add(list(zip(BAD[1:], GOOD)), [1] * (len(GOOD) - 1))
    labels.add(list(zip(GOOD[1:], GOOD)), [2] * (len(GOOD) - 1))
    return labels


def learn(learner, labels):
    while learner.learn(labels):
        pass
    assert learner.seen >= PASSES * labels.count


def test_retrieval_pays_what_the_table_has_and_nothing_else(judged, folder):
    learner = Learner("retrieval", folder, seed=1)
    assert not learner.learn(judged)  # there is nothing to train
    paid = learner.publish(judged, {})
    assert {text for text, reward in paid.items() if reward} == set(GOOD)
    loaded = load_reward_model(folder / "reward")
    scores = loaded.score(rows(GOOD[0], BAD[0], BAD[1], b"You kill the newt!", b"Huh?", b""))
    assert scores.tolist() == [1, 0, 0, 0, 0, 0]
    assert loaded.threshold(0.5) == 0


def test_classification_pays_0_or_1_for_what_it_has_not_seen_too(judged, folder):
    learner = Learner("classification", folder, seed=1)
    learn(learner, judged)
    paid = learner.publish(judged, {})
    assert set(paid.values()) == {0.0, 1.0}
    loaded = load_reward_model(folder / "reward")
    assert dict(zip(paid, loaded.train_rewards)) == paid
    scores = loaded.score(rows(b"You kill the monster number 99!", b"Wall 99 is solid stone.", b""))
    assert scores.tolist() == [1, 0, 0]
    assert loaded.threshold(0.5) == 0


def test_it_trains_until_each_label_was_seen_often_enough(judged, folder):
    learner = Learner("classification", folder, seed=1)
    learn(learner, judged)
    seen = learner.seen
    assert PASSES * judged.count <= seen < PASSES * judged.count + STEPS * BATCH
    assert not learner.learn(judged)
    judged.add([(f"Wall {i}".encode(), b"") for i in range(100)], [1] * 100)
    assert learner.learn(judged)


def test_a_classifier_is_a_logistic_one(judged, folder):
    """σ(r(m) − r(∅)) of a pair with nothing is σ of the logit that is published."""
    learner = Learner("classification", folder, seed=1)
    before = learner.model(torch.from_numpy(rows(GOOD[0], b"")))
    learner.publish(judged, {})
    after = learner.model(torch.from_numpy(rows(GOOD[0], b"")))
    assert after[1].item() == pytest.approx(0, abs=1e-3)
    assert (after[0] - after[1]).item() == pytest.approx((before[0] - before[1]).item(), abs=1e-6)


def test_ranking_orders_and_is_normalised_by_what_was_met(compared, folder):
    learner = Learner("ranking", folder, seed=1)
    learn(learner, compared)
    met = {GOOD[0]: 9}
    learner.publish(compared, met)
    loaded = load_reward_model(folder / "reward")
    good, bad = loaded.score(rows(*GOOD)), loaded.score(rows(*BAD))
    assert good.min() > bad.max()
    weights = np.array([met.get(text, 0) + 1 for text in compared.known])
    mean = np.average(loaded.train_rewards, weights=weights)
    assert mean == pytest.approx(0, abs=1e-4)
    square = np.average(loaded.train_rewards.astype(float) ** 2, weights=weights)
    assert square == pytest.approx(1, rel=1e-4)
    passing = loaded.train_rewards > np.float32(loaded.threshold(0.5))
    assert passing.sum() == len(passing) // 2


def test_a_ranking_is_trained_by_stage_2s_step(compared, folder):
    learner, other = (Learner("ranking", folder, seed=1) for _ in range(2))
    learner.learn(compared)
    pairs, seen = compared.training_pairs(ties=True), 0
    rng = np.random.default_rng([1, 0])
    while seen < learner.seen:
        drawn = rng.integers(compared.count, size=min(128, compared.count))
        train_step(other.model, other._optimizer, pairs, torch.from_numpy(drawn))
        seen += len(drawn)
    for ours, theirs in zip(learner.model.parameters(), other.model.parameters()):
        assert torch.equal(ours, theirs)
    assert {tuple(row) for row in pairs.targets_NP.tolist()} == {(1, 0), (0, 1), (0.5, 0.5)}


@pytest.mark.parametrize("kind", ["classification", "ranking"])
def test_training_goes_on_from_the_last_version(kind, judged, folder):
    undisturbed = Learner(kind, folder, seed=1)
    undisturbed.learn(judged)
    undisturbed.publish(judged, {})
    again = Learner(kind, folder, seed=1)
    assert (again.version, again.seen) == (1, undisturbed.seen)
    for learner in (undisturbed, again):
        learner.learn(judged)
    for ours, theirs in zip(undisturbed.model.parameters(), again.model.parameters()):
        assert torch.equal(ours, theirs)
    again.publish(judged, {})
    assert load_reward_model(folder / "reward").path.name == "checkpoint_2.pth"


def test_it_begins_with_a_reward_model(reward_folder, folder):
    start = load_reward_model(reward_folder)
    check_start(start, "ranking")
    learner = Learner("ranking", folder, seed=1, start=start)
    assert torch.equal(learner.model.head.weight, start.model.head.weight)
    with pytest.raises(CheckpointError, match="retrieval is a table that begins empty"):
        check_start(start, "retrieval")


def test_an_ensemble_is_nothing_to_begin_with(reward_folder):
    start = load_reward_model(reward_folder)
    start.model.head = torch.nn.Linear(512, 3)
    with pytest.raises(CheckpointError, match="an ensemble of 3 heads, and --online ranking"):
        check_start(start, "ranking")

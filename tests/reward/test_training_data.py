"""What training reads from a dataset and its labels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import random_split

from motif.blstats import scale_blstats
from motif.errors import DatasetError, PreferenceError
from motif.reward.training_data import load_training_data

pytestmark = pytest.mark.filterwarnings("ignore:.*has no provenance")


def load(dataset, **changes):
    settings = {"seed": 7, "soft_labels": False, "use_blstats": False, **changes}
    return load_training_data(dataset.directory, "toy", **settings)


def test_index_and_distinct_messages_give_the_observations_back(make_labelled_dataset):
    dataset = make_labelled_dataset(30, seq_len=3)
    data = load(dataset)
    assert data.index_NPT.shape == (30, 2, 3)
    assert torch.equal(data.messages_UC[data.index_NPT], torch.tensor(dataset.messages[:]))
    assert len(data.messages_UC.unique(dim=0)) == len(data.messages_UC) == 9
    assert torch.equal(data.game_scores_NP, torch.tensor(dataset["score"][:]).double())
    assert data.blstats is None


def test_unknown_pairs_are_left_out_before_the_split(make_labelled_dataset):
    labels = np.arange(40) % 4
    dataset = make_labelled_dataset(40, labels=labels)
    data = load(dataset)
    known = np.flatnonzero(labels != 3)
    assert data.labels_N.tolist() == labels[known].tolist()
    observed = data.messages_UC[data.index_NPT]
    assert torch.equal(observed, torch.tensor(dataset.messages[known]))
    assert (len(data.train), len(data.validation)) == (24, 6)
    rows = torch.cat([data.train, data.validation]).sort().values
    assert rows.tolist() == list(range(30))


def test_the_split_is_that_of_random_split(make_labelled_dataset):
    data = load(make_labelled_dataset(50))
    generator = torch.Generator().manual_seed(7)
    expected = random_split(range(50), [0.8, 0.2], generator=generator)
    assert data.train.tolist() == list(expected[0].indices)
    assert data.validation.tolist() == list(expected[1].indices)


def test_training_messages_are_those_of_training_pairs(make_labelled_dataset):
    texts = [f"message {number}" for number in range(60)]
    data = load(make_labelled_dataset(40, texts=texts, labels=np.arange(40) % 3))
    observed = data.messages_UC[data.index_NPT[data.train]].flatten(0, 2)
    seen = {bytes(row) for row in observed.numpy()}
    assert {bytes(row) for row in data.train_messages.numpy()} == seen
    assert len(data.train_messages) == len(seen)
    assert torch.equal(observed[data.first_train_observations], data.train_messages)
    unseen = [
        row
        for row in data.validation.tolist()
        if any(
            bytes(message) not in seen
            for message in data.messages_UC[data.index_NPT[row]].flatten(0, 1).numpy()
        )
    ]
    assert data.unseen.tolist() == unseen
    assert 0 < len(unseen) < len(data.validation)


def test_a_share_of_the_training_pairs_some_turned_round(make_labelled_dataset):
    dataset = make_labelled_dataset(200, labels=np.arange(200) % 3)
    whole, poorer = load(dataset), load(dataset, label_share=0.5, label_noise=0.2)
    assert poorer.train.tolist() == whole.train[:80].tolist()
    assert poorer.validation.tolist() == whole.validation.tolist()
    assert torch.equal(poorer.targets_NP[poorer.validation], whole.targets_NP[whole.validation])
    before, after = whole.labels_N[poorer.train], poorer.labels_N[poorer.train]
    turned = before != after
    assert 4 <= turned.sum() <= 20  # of 80, two thirds of which have a preference
    assert set(zip(before[turned].tolist(), after[turned].tolist())) == {(0, 1), (1, 0)}
    sides, others = whole.targets_NP[poorer.train], poorer.targets_NP[poorer.train]
    assert torch.equal(others[turned], sides[turned].flip(1))
    assert torch.equal(others[~turned], sides[~turned])


def test_soft_labels_come_from_the_probabilities(make_labelled_dataset):
    dataset = make_labelled_dataset(20, labels=[0] * 19 + [3])
    probabilities = np.tile(np.float32([0.6, 0.2, 0.2]), (20, 1))
    probabilities[19] = np.nan
    np.save(dataset.directory / "preference" / "toy.probs.npy", probabilities)
    data = load(dataset, soft_labels=True)
    torch.testing.assert_close(data.targets_NP, torch.tensor([[0.7, 0.3]]).expand(19, 2))
    assert load(dataset).targets_NP.tolist() == [[1.0, 0.0]] * 19
    assert load(dataset).fingerprint != data.fingerprint


def test_blstats_are_scaled(make_labelled_dataset):
    dataset = make_labelled_dataset(10, seq_len=2)
    data = load(dataset, use_blstats=True)
    assert data.blstats.shape == (10, 2, 2, 27)
    assert np.array_equal(data.blstats.numpy(), scale_blstats(dataset["blstats"][:]))


def test_the_fingerprint_follows_the_labels(make_labelled_dataset):
    dataset = make_labelled_dataset(10, labels=[0, 1] * 5)
    before = load(dataset).fingerprint
    assert load(dataset).fingerprint == before
    np.save(dataset.directory / "preference" / "toy.npy", np.int8([1, 1] * 5))
    assert load(dataset).fingerprint != before


def test_a_dataset_without_scores_is_enough(make_labelled_dataset):
    dataset = make_labelled_dataset(10)
    dataset.path("score").unlink()
    assert load(dataset).game_scores_NP is None


@pytest.mark.parametrize("known", [0, 4])
def test_too_few_known_labels(make_labelled_dataset, known):
    dataset = make_labelled_dataset(12, labels=[0] * known + [3] * (12 - known))
    with pytest.raises(PreferenceError, match=f"has {known} known labels in 12 pairs.*annotate"):
        load(dataset)


def test_ties_alone_are_a_warning(make_labelled_dataset):
    dataset = make_labelled_dataset(12, labels=[2] * 12)
    with pytest.warns(UserWarning, match="all 12 known labels of 'toy' are ties"):
        data = load(dataset)
    assert data.targets_NP.unique().tolist() == [0.5]


def test_ties_among_others_are_no_warning(make_labelled_dataset):
    dataset = make_labelled_dataset(12, labels=[2] * 11 + [0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(dataset)
    assert not [warning for warning in caught if "known labels" in str(warning.message)]


def test_one_message_for_all_teaches_nothing(make_labelled_dataset):
    dataset = make_labelled_dataset(12, texts=["You stop."], labels=[0] * 12)
    with pytest.raises(DatasetError, match="has the same message: nothing to learn"):
        load(dataset)


def save_probabilities(dataset, array):
    np.save(dataset.directory / "preference" / "toy.probs.npy", array)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda dataset: None, "has no probabilities"),
        (lambda dataset: save_probabilities(dataset, np.ones((12, 2))), r"shape \(12, 2\)"),
        (
            lambda dataset: save_probabilities(dataset, np.full((12, 3), np.nan)),
            "pair 0 has a label but no probabilities",
        ),
        (lambda dataset: save_probabilities(dataset, np.ones((12, 3))), "sum to 1"),
        (
            lambda dataset: (dataset.directory / "preference/toy.probs.npy").write_bytes(b"x"),
            "cannot be read",
        ),
    ],
)
def test_unusable_probabilities(make_labelled_dataset, damage, message):
    dataset = make_labelled_dataset(12, labels=[0] * 12)
    damage(dataset)
    with pytest.raises(PreferenceError, match=message):
        load(dataset, soft_labels=True)


def test_blstats_of_an_older_game(make_labelled_dataset):
    dataset = make_labelled_dataset(12)
    np.save(dataset.path("blstats"), np.zeros((12, 2, 1, 25), np.int64))
    with pytest.raises(DatasetError, match=r"shape \(12, 2, 1, 25\), expected \(12, 2, 1, 27\)"):
        load(dataset, use_blstats=True)

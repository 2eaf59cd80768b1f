"""Agreement with held-out labels, pair by pair."""

from __future__ import annotations

import warnings

import numpy as np

from motif.messages import keys
from motif.preference import load_preferences
from motif.reward.agreement import held_out_agreement
from motif.reward.checkpoint import load_reward_model
from motif.reward.training_data import load_training_data


def test_it_is_what_a_loop_over_the_pairs_finds(make_labelled_dataset, reward_folder):
    dataset = make_labelled_dataset(120)
    loaded = load_reward_model(reward_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels without provenance
        data = load_training_data(
            dataset.directory, "toy", seed=3, soft_labels=False, use_blstats=False
        )
        labels = load_preferences(dataset, "toy")
    agrees, frequency = held_out_agreement(loaded, data)

    trained = keys(dataset.messages[data.train.numpy()])
    expected = []
    for row in data.validation.tolist():  # every label is known: rows are those of the dataset
        if labels[row] == 2:
            continue
        first, second = loaded.score(dataset.messages[row, :, 0])
        rarest = min(trained.count(key) for key in keys(dataset.messages[row]))
        expected.append((first > second if labels[row] == 0 else second > first, rarest))
    assert 5 < len(expected) < 24
    np.testing.assert_array_equal(agrees, [agreeing for agreeing, _ in expected])
    np.testing.assert_array_equal(frequency, [count for _, count in expected])

"""Agreement on held-out pairs: the same figures as in training, and what cannot be compared."""

from __future__ import annotations

import csv
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_dataset import TEXTS, write_dataset

from motif.errors import CheckpointError, PreferenceError
from motif.messages import keys
from motif.preference.label_set import load_preferences
from motif.preference.labels import Preference
from motif.reward.checkpoint import (
    find_checkpoint,
    load_reward_model,
    read_checkpoint,
    save_checkpoint,
)
from motif.reward.config import RewardTrainingConfig
from motif.reward.held_out import evaluate_held_out
from motif.reward.training import train_reward
from motif.reward.training_data import load_training_data

pytestmark = pytest.mark.filterwarnings("ignore:.*has no provenance")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> RewardTrainingConfig:
    """A run on 120 pairs of two steps a side, some of whose messages occur but once."""
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("held_out")
    rare = [f"You see here {number} arrows." for number in range(300)]
    texts = [*TEXTS * 20, *rare]
    dataset = write_dataset(directory / "motif_dataset", 120, seq_len=2, texts=texts)
    (dataset.directory / "preference").mkdir()
    labels = np.random.default_rng(1).integers(3, size=120).astype(np.int8)
    np.save(dataset.directory / "preference/toy.npy", labels)
    config = RewardTrainingConfig(
        dataset_dir=str(dataset.directory),
        annotator="toy",
        train_dir=str(directory),
        experiment="run",
        batch_size=32,
        num_epochs=2,
        reward_lr=1e-3,
        device="cpu",
        encoder_msg_model="lt_cnn_small",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train_reward(config)
    return config


def evaluate(config, checkpoint_num=0, **settings):
    reward = load_reward_model(config.run_folder, checkpoint_num)
    return evaluate_held_out(reward, config.dataset_dir, **settings)


def test_it_is_what_a_loop_over_the_pairs_finds(trained):
    result, loaded = evaluate(trained), load_reward_model(trained.run_folder)
    data = load_training_data(
        trained.dataset_dir, "toy", seed=trained.seed, soft_labels=False, use_blstats=False
    )
    messages, labels = result.dataset.messages, load_preferences(result.dataset, "toy")
    seen = keys(messages[data.train.numpy()])
    expected = []
    for row in data.validation.tolist():  # every label is known: rows are those of the dataset
        if labels[row] != Preference.TIE:
            first, second = (loaded.score(side).mean() for side in messages[row])
            agrees = first > second if labels[row] == Preference.FIRST else second > first
            expected.append((agrees, min(seen.count(key) for key in keys(messages[row]))))
    assert 5 < len(expected) < 24
    np.testing.assert_array_equal(result.agrees_N, [agrees for agrees, _ in expected])
    np.testing.assert_array_equal(result.rarest_N, [count for _, count in expected])


def test_the_figures_are_those_of_the_run(trained):
    with (trained.run_folder / "val_metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for checkpoint, row in ((0, rows[-1]), (int(rows[1]["iter"]), rows[1])):
        result = evaluate(trained, checkpoint_num=checkpoint)
        assert result.all.accuracy == pytest.approx(float(row["validation_accs"]))
        assert result.unseen.accuracy == pytest.approx(float(row["unseen_validation_accs"]))
    assert result.held_out == 24
    assert 0 < result.unseen.pairs <= result.all.pairs < 24  # some of the 24 are ties
    assert result.annotator == "toy"


def test_every_distinct_message_once_and_whether_training_had_it(trained):
    result = evaluate(trained)
    assert set(keys(result.messages_UC)) == set(keys(result.dataset.messages))
    assert len(set(keys(result.messages_UC))) == len(result.messages_UC) == len(result.rewards_U)
    content = read_checkpoint(find_checkpoint(trained.run_folder))
    seen = set(keys(content["train_messages"].numpy()))
    assert [key not in seen for key in keys(result.messages_UC)] == result.unseen_U.tolist()
    assert 0 < result.unseen_U.sum() < len(result.unseen_U)


def test_another_label_set_on_the_same_held_out_pairs(trained):
    folder = Path(trained.dataset_dir) / "preference"
    labels = np.load(folder / "toy.npy")
    swapped = np.array([1, 0, 2, 3], np.int8)[labels]
    np.save(folder / "swapped.npy", swapped)
    np.save(folder / "unknown.npy", np.full_like(labels, Preference.UNKNOWN))
    own, other = evaluate(trained), evaluate(trained, annotator="swapped")
    assert other.all.pairs == own.all.pairs
    assert other.all.accuracy == pytest.approx(1 - own.all.accuracy)
    assert other.annotator == "swapped"
    nothing = evaluate(trained, annotator="unknown")
    assert (nothing.all.pairs, nothing.all.accuracy) == (0, None)
    with pytest.raises(PreferenceError, match="no label set 'nobody'"):
        evaluate(trained, annotator="nobody")


def test_other_pairs_or_labels_are_refused(trained, tmp_path):
    copy = shutil.copytree(trained.dataset_dir, tmp_path / "motif_dataset")
    labels = np.load(copy / "preference/toy.npy")
    labels[0] = (labels[0] + 1) % 3
    np.save(copy / "preference/toy.npy", labels)
    with pytest.raises(CheckpointError, match="trained on other pairs or labels than toy in"):
        evaluate(replace(trained, dataset_dir=str(copy)))


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"fingerprint": ""}, {}, "was imported: what it was trained on is not known"),
        ({}, {"use_blstats": True}, "reads the status line beside the message"),
    ],
)
def test_models_that_cannot_be_evaluated(trained, tmp_path, changes, settings, message):
    content = read_checkpoint(find_checkpoint(trained.run_folder))
    if settings:
        other = replace(trained, **settings, experiment="other", train_dir=str(tmp_path))
        train_reward(replace(other, num_epochs=1))
    else:
        save_checkpoint(tmp_path / "other", {**content, **changes})
    with pytest.raises(CheckpointError, match=message):
        evaluate_held_out(load_reward_model(tmp_path / "other"), trained.dataset_dir)

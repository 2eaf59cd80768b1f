"""Several heads: their reward, their samples, their calibration; and a run with them."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_dataset import TEXTS, write_dataset

from motif.errors import CheckpointError, ConfigError
from motif.messages import encode
from motif.preference.labels import Preference
from motif.results.calibration import calibration_figure
from motif.reward.checkpoint import find_checkpoint, load_reward_model, read_checkpoint
from motif.reward.config import RewardTrainingConfig
from motif.reward.encoder import EncoderSettings
from motif.reward.ensemble import (
    bootstrap_counts,
    ensemble_loss,
    pessimistic,
    reliability,
    split_vote,
)
from motif.reward.losses import preference_loss
from motif.reward.model import make_reward_model
from motif.reward.training import train_reward
from scripts import evaluate_reward

pytestmark = pytest.mark.filterwarnings("ignore:.*has no provenance")


def test_the_reward_is_the_mean_less_deviations():
    heads = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    assert pessimistic(heads, 0.0).tolist() == [2.0, 2.0]
    assert pessimistic(heads, 0.5).tolist() == [1.5, 2.0]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6), st.floats(0, 3))
def test_doubt_never_adds_to_a_reward(values, penalty):
    heads = torch.tensor(values, dtype=torch.float64)
    paid = pessimistic(heads, penalty).item()
    assert paid <= heads.mean().item() + 1e-9
    assert paid == pytest.approx(np.mean(values) - penalty * np.std(values), abs=1e-9)


def test_each_head_has_a_sample_with_replacement():
    counts = bootstrap_counts(10_000, 5, seed=3)
    assert counts.shape == (10_000, 5) and (counts.sum(0) == 10_000).all()
    assert (counts == 0).mean() == pytest.approx(math.exp(-1), abs=0.01)
    assert len(np.unique(counts, axis=1).T) == 5
    assert np.array_equal(counts, bootstrap_counts(10_000, 5, seed=3))
    assert not np.array_equal(counts, bootstrap_counts(10_000, 5, seed=4))


def test_a_pair_counts_for_a_head_as_often_as_it_was_drawn():
    scores = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.2, 0.8]])
    counts = torch.tensor([[1, 0, 2], [0, 1, 1], [3, 0, 0], [0, 3, 1]])
    drawn = [
        preference_loss(*(x.repeat_interleave(counts[:, k], 0) for x in (scores[..., k], targets)))
        for k in range(3)
    ]
    assert ensemble_loss(scores, targets, counts).item() == pytest.approx(np.mean(drawn))


def test_one_head_is_the_model_as_it_was():
    one = make_reward_model(EncoderSettings(), seed=1)
    five = make_reward_model(EncoderSettings(), seed=1, heads=5, penalty=1.0)
    messages = torch.from_numpy(np.stack([encode(text) for text in TEXTS]))
    assert one.heads(messages).shape == (len(TEXTS), 1)
    assert torch.equal(one(messages), one.heads(messages)[:, 0])
    heads = five.heads(messages)
    assert heads.shape == (len(TEXTS), 5)
    torch.testing.assert_close(five(messages), heads.mean(1) - heads.std(1, correction=0))
    assert heads.std(1).min() > 0


def test_calibration_by_hand():
    sure = np.array([0.52, 0.54, 0.97, 0.99, 1.0])
    agrees = np.array([1.0, 0.0, 1.0, 1.0, 0.5])
    bins, error = reliability(sure, agrees)
    assert bins == [
        (pytest.approx(0.53), 0.5, 2),
        (pytest.approx(2.96 / 3), pytest.approx(2.5 / 3), 3),
    ]
    assert error == pytest.approx((2 * 0.03 + 3 * abs(2.96 - 2.5) / 3) / 5)
    assert reliability(sure[:0], agrees[:0]) == ([], None)


@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_calibration_counts_every_pair_once(pairs, seed):
    rng = np.random.default_rng(seed)
    sure, agrees = rng.uniform(0.5, 1, pairs), rng.integers(0, 2, pairs).astype(float)
    bins, error = reliability(sure, agrees)
    assert sum(count for *_, count in bins) == pairs
    assert sum(share * count for _, share, count in bins) == pytest.approx(agrees.sum())
    assert abs(sure.mean() - agrees.mean()) - 1e-9 <= error <= 1


def test_a_perfectly_calibrated_reward_has_no_error():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 200_000)
    assert reliability(sure, (rng.random(len(sure)) < sure).astype(float))[1] < 0.01


def test_heads_that_prefer_different_sides():
    margins = torch.tensor([[1.0, 2.0, 0.5], [1.0, -0.1, 2.0], [-1.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    assert split_vote(margins).tolist() == [False, True, False, False]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three heads on 200 pairs, a fifth of whose labels are turned round."""
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("ensemble")
    dataset = directory / "motif_dataset"
    write_dataset(
        dataset, 200, texts=[*TEXTS * 10, *(f"You see {n} gold pieces." for n in range(60))]
    )
    path = dataset / "preference" / "tiny.npy"
    messages = np.load(dataset / "data" / "message.npy")
    long = (messages[:, :, 0] != 0).sum(-1)
    labels = np.where(long[:, 0] == long[:, 1], Preference.TIE, (long[:, 1] > long[:, 0]))
    wrong = (np.arange(200) % 5 == 0) & (labels != Preference.TIE)
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.where(wrong, 1 - labels, labels).astype(np.int8))
    config = RewardTrainingConfig(
        dataset_dir=str(dataset),
        annotator="tiny",
        train_dir=str(directory),
        experiment="run",
        batch_size=32,
        reward_lr=1e-3,
        num_epochs=4,
        device="cpu",
        encoder_msg_model="lt_cnn_small",
        reward_ensemble=3,
        uncertainty_penalty=0.5,
    )
    assert train_reward(config) == 0
    return config


def test_a_run_learns_and_its_reward_is_what_is_stored(trained):
    loaded = load_reward_model(trained.run_folder)
    heads = loaded.heads(loaded.train_messages)
    assert heads.shape[1] == 3 and heads.std(1).min() > 0
    raw = heads.mean(1) - 0.5 * heads.std(1, correction=0)
    expected = (raw.numpy() - loaded.mean) / loaded.variance**0.5
    np.testing.assert_allclose(loaded.score(loaded.train_messages), expected, atol=1e-5)
    np.testing.assert_allclose(loaded.train_rewards, expected, atol=1e-4)
    content = read_checkpoint(find_checkpoint(trained.run_folder))
    losses = [float(row[1]) for row in content["history"]["train_metrics.csv"]]
    assert losses[-1] < losses[0]
    assert content["model"]["head.weight"].shape == (3, trained.encoder_hidden_dim)


def test_a_head_s_offset_is_no_disagreement(trained):
    loaded = load_reward_model(trained.run_folder)
    means = loaded.heads(loaded.train_messages).mean(0)
    assert means.abs().max() < 1e-4
    assert loaded.model.head.bias.std() > 1e-3  # they were not so by themselves


def test_a_run_that_was_stopped_ends_with_the_same_weights(trained, tmp_path):
    half = replace(trained, train_dir=str(tmp_path), num_epochs=2)
    train_reward(half)
    train_reward(replace(half, num_epochs=4))
    whole, parts = (
        read_checkpoint(find_checkpoint(config.run_folder))["model"] for config in (trained, half)
    )
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_another_number_of_heads_cannot_go_on(trained):
    for name, value in (("reward_ensemble", 2), ("uncertainty_penalty", 0.25)):
        flags = {**asdict(trained), name: value}
        with pytest.raises(CheckpointError, match=f"was made with --{name} "):
            train_reward(RewardTrainingConfig(**flags))


def test_the_evaluation_shows_calibration_and_doubts(trained, capsys, tmp_path):
    line = f"--reward_dir {trained.run_folder} --dataset_dir {trained.dataset_dir} --most 2"
    assert evaluate_reward.main([*line.split(), "--output", str(tmp_path / "figures.json")]) == 0
    shown = capsys.readouterr().out
    config = evaluate_reward.EvaluationConfig(str(trained.run_folder), trained.dataset_dir, most=2)
    figures = evaluate_reward.evaluate_reward(config)
    assert figures["heads"] == 3 and len(figures["doubtful"]) == 2
    assert figures["united_pairs"] + figures["split_pairs"] == figures["preference_pairs"]
    assert sum(count for *_, count in figures["reliability"]) == figures["preference_pairs"]
    deviations = [deviation for _, deviation in figures["doubtful"]]
    assert deviations == sorted(deviations, reverse=True) and deviations[-1] > 0
    assert f"calibration error {figures['calibration_error']:.3f}; by confidence" in shown
    assert "pairs on which the heads agree" in shown
    assert f"{deviations[0]:8.3f}  {figures['doubtful'][0][0]}" in shown


def test_the_picture_has_each_bin_and_the_disputed_messages(trained, tmp_path):
    line = f"--reward_dir {trained.run_folder} --dataset_dir {trained.dataset_dir} --picture"
    config = evaluate_reward.EvaluationConfig(str(trained.run_folder), trained.dataset_dir)
    figures = evaluate_reward.evaluate_reward(config)
    for kind, begin in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        path = tmp_path / "new" / f"calibration.{kind}"
        assert evaluate_reward.main([*line.split(), str(path)]) == 0
        assert path.read_bytes().startswith(begin)
    accuracy, pairs, doubts = calibration_figure(figures).axes
    assert f"{figures['calibration_error']:.3f}" in accuracy.get_title(loc="left")
    sure, shares, counts = zip(*figures["reliability"])
    drawn = [tuple(bar.lines[0].get_xydata()[0]) for bar in accuracy.containers]
    assert drawn == list(zip(sure, shares))
    assert [bar.get_height() for bar in pairs.patches] == list(counts)
    texts = [text.get_text() for text in doubts.texts]
    assert texts[::2] == [text for text, _ in figures["doubtful"]]
    one_head = calibration_figure(figures | {"heads": 1, "doubtful": []})
    assert len(one_head.axes) == 2
    nothing = {"reliability": [], "calibration_error": None}
    assert "error -" in calibration_figure(figures | nothing).axes[0].get_title(loc="left")


def test_a_picture_is_a_png_or_a_pdf(trained, capsys):
    line = f"--reward_dir {trained.run_folder} --dataset_dir {trained.dataset_dir}"
    with pytest.raises(SystemExit):
        evaluate_reward.main([*line.split(), "--picture", "calibration.gif"])
    assert "--picture calibration.gif: its name must end in .png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"reward_ensemble": 0}, "--reward_ensemble 0: at least 1 head"),
        ({"uncertainty_penalty": 1.0}, r"--uncertainty_penalty 1\.0: one head has no doubts; give"),
        (
            {"reward_ensemble": 5, "uncertainty_penalty": -1.0},
            r"--uncertainty_penalty -1\.0: a number, 0 or more",
        ),
        (
            {"reward_ensemble": 5, "uncertainty_penalty": math.nan},
            "--uncertainty_penalty nan: a number, 0 or more",
        ),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ConfigError, match=message):
        RewardTrainingConfig(**settings)

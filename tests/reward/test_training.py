"""The training loop: it learns, repeats itself exactly, and goes on after a kill."""

from __future__ import annotations

import csv
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from motif.errors import CheckpointError, ConfigError
from motif.file_lock import only_run
from motif.messages import keys
from motif.reward import training
from motif.reward.checkpoint import (
    list_checkpoints,
    load_reward_model,
    read_checkpoint,
    save_checkpoint,
)
from motif.reward.config import RewardTrainingConfig
from motif.reward.evaluation import evaluate
from motif.reward.training import train_reward
from motif.reward.training_data import load_training_data

pytestmark = pytest.mark.filterwarnings("ignore:.*has no provenance")
FILES = ("train_metrics.csv", "val_metrics.csv", "reward_metrics/train_norm_quantiles.csv")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def config(make_labelled_dataset, tmp_path) -> RewardTrainingConfig:
    dataset = make_labelled_dataset(100)
    return RewardTrainingConfig(
        dataset_dir=str(dataset.directory),
        annotator="toy",
        train_dir=str(tmp_path / "runs"),
        experiment="toy",
        batch_size=32,
        num_epochs=3,
        reward_lr=1e-3,
        encoder_msg_model="lt_cnn_small",
        device="cpu",
    )


def read_rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


def assert_same_run(first: Path, second: Path) -> None:
    """Same metrics files; same weights and statistics in every checkpoint."""
    assert contents(first) == contents(second)
    assert list(list_checkpoints(first)) == list(list_checkpoints(second))
    for one, other in zip(list_checkpoints(first).values(), list_checkpoints(second).values()):
        a, b = read_checkpoint(one), read_checkpoint(other)
        assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])
        assert (a["reward_mean"], a["reward_var"]) == (b["reward_mean"], b["reward_var"])


def test_separable_pairs_are_learnt(config, make_labelled_dataset):
    dataset = make_labelled_dataset(400, name="large")
    settings = {"dataset_dir": str(dataset.directory), "num_epochs": 12}
    train_reward(replace(config, **settings, encoder_msg_model="lt_cnn"))
    last = read_rows(config.run_folder, "val_metrics.csv")[-1]
    assert float(last["validation_accs"]) >= 0.95
    losses = [float(row["total_train_loss"]) for row in read_rows(config.run_folder, FILES[0])]
    assert losses[-1] < 0.6 < losses[0] < 0.7


def test_the_run_folder_has_the_files_and_columns_of_the_release(config):
    train_reward(config)
    folder = config.run_folder
    header = [(folder / name).read_text().splitlines()[0] for name in FILES]
    assert header[0] == "epoch,total_train_loss,total_train_acc"
    assert header[1].startswith("iter,total_val_loss,score_validation_accs,validation_accs")
    assert header[2].startswith("0.05,0.10,0.15") and header[2].endswith("0.90,0.95")
    assert [row["epoch"] for row in read_rows(folder, FILES[0])] == ["0", "1", "2"]
    iterations = [int(row["iter"]) for row in read_rows(folder, FILES[1])]
    assert iterations == [0, 3, 6, 9] == list(list_checkpoints(folder))  # the final one too
    assert len(read_rows(folder, FILES[2])) == 4
    assert (folder / "cfg.json").is_file()


def test_statistics_are_exact_over_training_observations(config):
    train_reward(config)
    loaded = load_reward_model(config.run_folder)
    data = load_training_data(
        config.dataset_dir, "toy", seed=config.seed, soft_labels=False, use_blstats=False
    )
    observed = data.messages_UC[data.index_NPT[data.train]].flatten(0, 2)
    with torch.no_grad():
        rewards = loaded.model(observed).double().numpy()
        distinct = loaded.model(data.train_messages).double().numpy()
    assert loaded.mean == pytest.approx(rewards.mean(), rel=1e-5)
    assert loaded.variance == pytest.approx(rewards.var(), rel=1e-5)
    normalised = (distinct - rewards.mean()) / rewards.std()
    assert loaded.quantiles[0.5] == pytest.approx(np.quantile(normalised, 0.5), rel=1e-4)
    last = read_rows(config.run_folder, FILES[2])[-1]
    assert float(last["0.50"]) == loaded.quantiles[0.5]
    assert set(keys(loaded.train_messages)) == set(keys(observed.numpy()))
    np.testing.assert_allclose(loaded.train_rewards, normalised, rtol=1e-3, atol=1e-5)


def test_metrics_are_measured_over_all_pairs_not_batches(config):
    train_reward(config)
    content = read_checkpoint(list(list_checkpoints(config.run_folder).values())[-1])
    data = load_training_data(
        config.dataset_dir, "toy", seed=config.seed, soft_labels=False, use_blstats=False
    )
    model = load_reward_model(config.run_folder).model
    rewards_NP = model(data.messages_UC)[data.index_NPT].mean(dim=2)[data.validation]
    labels = data.labels_N[data.validation]
    expected = (rewards_NP.argmax(dim=1) == labels)[labels < 2].double().mean().item()
    margin, score_margin = (
        -rewards_NP.diff().squeeze(),
        -data.game_scores_NP[data.validation].diff(),
    )
    agreement = (1 + margin.sign() * score_margin.squeeze().sign())[score_margin.squeeze() != 0] / 2
    agreement = agreement.mean().item()
    row = content["history"]["val_metrics.csv"][-1]
    assert row[2:4] == [pytest.approx(agreement), pytest.approx(expected)]
    log_p = torch.log_softmax(rewards_NP, dim=1)
    assert row[1] == pytest.approx(-(log_p * data.targets_NP[data.validation]).sum(1).mean().item())


def test_same_seed_same_files_other_seed_others(config):
    for experiment, seed in (("first", 1), ("second", 1), ("third", 2)):
        train_reward(replace(config, experiment=experiment, seed=seed))
    root = Path(config.train_dir)
    assert_same_run(root / "first", root / "second")
    assert contents(root / "first") != contents(root / "third")


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code under test catches it."""


@pytest.mark.parametrize("step", [1, 4, 8])
def test_interrupted_then_resumed_equals_uninterrupted(config, monkeypatch, step):
    train_reward(replace(config, experiment="whole"))
    train_step, steps = training.train_step, []

    def killed_at(*arguments):
        steps.append(1)
        if len(steps) == step:
            raise Killed
        return train_step(*arguments)

    monkeypatch.setattr(training, "train_step", killed_at)
    with pytest.raises(Killed):
        train_reward(replace(config, experiment="killed"))
    monkeypatch.undo()
    train_reward(replace(config, experiment="killed"))
    assert_same_run(Path(config.train_dir) / "whole", Path(config.train_dir) / "killed")


def test_killed_between_checkpoint_and_metrics(config, monkeypatch):
    train_reward(replace(config, experiment="whole"))

    def killed(*arguments):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training, "write_metrics", killed)
        train_reward(replace(config, experiment="killed"))
    train_reward(replace(config, experiment="killed"))
    assert_same_run(Path(config.train_dir) / "whole", Path(config.train_dir) / "killed")


def test_a_finished_run_can_be_extended(config):
    train_reward(replace(config, experiment="whole"))
    for num_epochs in (1, 3, 3):
        train_reward(replace(config, experiment="grown", num_epochs=num_epochs))
    assert_same_run(Path(config.train_dir) / "whole", Path(config.train_dir) / "grown")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 16}, "made with --batch_size 32, not 16.*another --experiment"),
        ({"reward_lr": 1e-2}, "made with --reward_lr 0.001, not 0.01"),
        ({"seed": 1}, "made with --seed 777, not 1"),
        ({"encoder_msg_model": "lt_cnn"}, "made with --encoder_msg_model lt_cnn_small"),
        ({"use_blstats": True}, "made with --use_blstats False, not True"),
    ],
)
def test_other_settings_are_refused_on_resume(config, change, message):
    train_reward(replace(config, num_epochs=1))
    before = contents(config.run_folder)
    with pytest.raises(CheckpointError, match=message):
        train_reward(replace(config, **change))
    assert contents(config.run_folder) == before


def test_changed_labels_are_refused_on_resume(config):
    train_reward(replace(config, num_epochs=1))
    path = Path(config.dataset_dir) / "preference" / "toy.npy"
    labels = np.load(path)
    labels[0] = (labels[0] + 1) % 3
    np.save(path, labels)
    with pytest.raises(CheckpointError, match="trained on other pairs or labels than toy"):
        train_reward(config)


def test_a_second_run_in_the_same_folder_is_refused(config):
    with only_run(config.run_folder, CheckpointError("not this one")):
        with pytest.raises(CheckpointError, match=r"another run is training in .*another"):
            train_reward(config)
    train_reward(config)


@pytest.mark.filterwarnings("ignore:all 100 known labels")
def test_ties_alone_leave_accuracy_empty(config, make_labelled_dataset):
    dataset = make_labelled_dataset(100, name="ties", labels=[2] * 100)
    train_reward(replace(config, dataset_dir=str(dataset.directory)))
    rows = read_rows(config.run_folder, FILES[1])
    assert [row["validation_accs"] for row in rows] == [""] * 4
    assert [row["total_train_acc"] for row in read_rows(config.run_folder, FILES[0])] == [""] * 3
    assert float(rows[-1]["total_val_loss"]) == pytest.approx(np.log(2), abs=0.01)


def test_without_scores_their_column_is_empty(config):
    (Path(config.dataset_dir) / "info" / "score.npy").unlink()
    train_reward(config)
    rows = read_rows(config.run_folder, FILES[1])
    assert [row["score_validation_accs"] for row in rows] == [""] * 4
    assert all(row["validation_accs"] for row in rows)


def test_only_the_newest_checkpoints_are_kept(config):
    train_reward(replace(config, keep_checkpoints=2))
    assert list(list_checkpoints(config.run_folder)) == [6, 9]
    assert len(read_rows(config.run_folder, FILES[1])) == 4


def test_tensorboard_has_a_point_for_each_evaluation_once(config):
    train_reward(replace(config, num_epochs=1))
    train_reward(config)
    events = EventAccumulator(str(config.run_folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("validation/loss")] == [0, 3, 6, 9]
    assert [event.step for event in events.Scalars("train/loss")] == [3, 6, 9]
    rows = read_rows(config.run_folder, FILES[1])
    value = events.Scalars("validation/accuracy")[-1].value
    assert value == pytest.approx(float(rows[-1]["validation_accs"]))
    assert events.Scalars("train/pairs_per_second")[0].value > 0


def test_training_with_blstats_and_several_steps(config, make_labelled_dataset):
    """The label depends on the status alone; the messages are the same on both sides."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    dataset = make_labelled_dataset(300, name="status", seq_len=2, labels=labels)
    blstats = np.zeros((300, 2, 2, 27), np.int64)
    blstats[np.arange(300), labels, :, 10] = 30  # hit points
    np.save(dataset.path("blstats"), blstats)
    messages = np.array(dataset.messages)
    messages[:, 1] = messages[:, 0]
    np.save(dataset.path("message"), messages)
    settings = {"use_blstats": True, "num_epochs": 6, "dataset_dir": str(dataset.directory)}
    train_reward(replace(config, **settings))
    assert float(read_rows(config.run_folder, FILES[1])[-1]["validation_accs"]) >= 0.95
    loaded = load_reward_model(config.run_folder)
    healthy, hurt = np.zeros((2, 1, 27), np.float32)
    healthy[0, 10] = 3.0
    message = loaded.train_messages[:1]
    assert loaded.score(message, healthy)[0] > loaded.score(message, hurt)[0]


def test_evaluation_encodes_each_distinct_message_once(config, monkeypatch):
    data = load_training_data(
        config.dataset_dir, "toy", seed=config.seed, soft_labels=False, use_blstats=False
    )
    model = training.make_reward_model(config, seed=0)
    encoded = []
    forward = model.encoder.message.forward
    monkeypatch.setattr(
        model.encoder.message, "forward", lambda rows: encoded.append(len(rows)) or forward(rows)
    )
    evaluate(model, data)
    assert sum(encoded) == len(data.messages_UC)


@pytest.mark.filterwarnings("ignore:.*encountered in")
def test_a_rate_that_ends_in_nan_stops_and_keeps_the_last_good_checkpoint(config):
    train_reward(replace(config, num_epochs=1))
    path = list_checkpoints(config.run_folder)[3]
    content = read_checkpoint(path)
    content["config"]["reward_lr"] = content["optimizer"]["param_groups"][0]["lr"] = 1e30
    save_checkpoint(config.run_folder, content)
    before = path.read_bytes()
    with pytest.raises(
        ConfigError, match=r"iteration \d: no finite .*--reward_lr 1e\+30"
    ) as stopped:
        train_reward(replace(config, reward_lr=1e30))
    assert f"{path} is kept; start afresh with a smaller rate: python -m " in str(stopped.value)
    again = shlex.split(str(stopped.value).partition("rate: ")[2])
    assert again[again.index("--reward_lr") + 1] == "0.0001"
    assert again[again.index("--experiment") + 1] == "toy_0.0001"
    assert list(list_checkpoints(config.run_folder)) == [0, 3] and path.read_bytes() == before


@pytest.mark.parametrize("spoilt, iteration", [("loss", 2), ("weights", 3)])
def test_what_is_not_finite_is_never_saved(config, monkeypatch, spoilt, iteration):
    train_step, steps = training.train_step, []

    def spoiling(model, *others):
        totals = train_step(model, *others)
        steps.append(1)
        if len(steps) == iteration and spoilt == "weights":  # the last step of the epoch
            torch.nn.init.constant_(model.head.bias, float("nan"))
        return totals * (float("nan") if len(steps) == iteration and spoilt == "loss" else 1)

    monkeypatch.setattr(training, "train_step", spoiling)
    with pytest.raises(ConfigError, match=f"iteration {iteration}: no finite {spoilt}"):
        train_reward(config)
    assert list(list_checkpoints(config.run_folder)) == [0]


def test_a_reward_that_learnt_nothing_is_warned_about(config, make_labelled_dataset, capsys):
    dataset = str(make_labelled_dataset(400, name="large").directory)
    train_reward(replace(config, experiment="learnt", num_epochs=8, dataset_dir=dataset))
    assert "warning" not in capsys.readouterr().err
    train_reward(replace(config, experiment="chance", reward_lr=1e-12))
    error = capsys.readouterr().err
    assert re.search(r"held-out accuracy \d+\.\d% is no better than always .* \(\d+\.\d%\)", error)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"use_glyphs": True}, "--use_glyphs True: the pairs hold no glyphs"),
        ({"use_crop": True}, "--use_crop True: the pairs hold no glyphs"),
        ({"batch_size": 0}, "--batch_size 0: it must be more than 0"),
        ({"num_epochs": 0}, "--num_epochs 0"),
        ({"reward_lr": float("nan")}, "--reward_lr nan"),
        ({"seed": -1}, "--seed -1: it must be 0 or more"),
        ({"keep_checkpoints": -1}, "--keep_checkpoints -1"),
        ({"encoder_hidden_dim": 0}, "--encoder_hidden_dim 0"),
    ],
)
def test_settings_that_cannot_work(setting, message):
    with pytest.raises(ConfigError, match=message):
        RewardTrainingConfig(**setting)

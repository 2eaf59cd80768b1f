"""Loading a trained reward: what is read, and what is said when it cannot be."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from motif.errors import CheckpointError
from motif.messages import encode
from motif.reward.checkpoint import (
    ROWS_AT_ONCE,
    list_checkpoints,
    load_reward_model,
    read_checkpoint,
    save_checkpoint,
)
from motif.reward.encoder import EncoderSettings
from motif.reward.metrics import empty_history
from motif.reward.model import make_reward_model
from motif.reward.statistics import QUANTILES

MESSAGES_UC = np.stack([encode(text) for text in ("", "You kill the newt!", "caf\xe9")])


def content(iteration: int, **changes):
    model = make_reward_model(EncoderSettings(encoder_msg_model="lt_cnn_small"), seed=iteration)
    with torch.no_grad():
        rewards = model(torch.from_numpy(MESSAGES_UC))
    return {
        "model": model.state_dict(),
        "optimizer": torch.optim.Adam(model.parameters()).state_dict(),
        "config": {"encoder_msg_model": "lt_cnn_small", "batch_size": 32},
        "iteration": iteration,
        "epoch": 1,
        "reward_mean": 2.0,
        "reward_var": 0.25,
        "quantiles": {f"{level:.2f}": 10 * level for level in QUANTILES},
        "train_messages": torch.from_numpy(MESSAGES_UC),
        "train_rewards": rewards,
        "history": empty_history(),
        "fingerprint": "abc",
        **changes,
    }


@pytest.fixture
def run_folder(tmp_path) -> Path:
    folder = tmp_path / "reward"
    for iteration in (0, 9, 100):
        save_checkpoint(folder, content(iteration))
    return folder


def test_zero_means_the_last_iteration_not_the_last_name(run_folder):
    assert load_reward_model(run_folder).path.name == "checkpoint_100.pth"
    assert load_reward_model(run_folder, 9).path.name == "checkpoint_9.pth"
    assert list(list_checkpoints(run_folder)) == [0, 9, 100]


def test_scores_are_the_models_rewards_normalised(run_folder):
    loaded = load_reward_model(run_folder, 9)
    model = make_reward_model(EncoderSettings(encoder_msg_model="lt_cnn_small"), seed=9)
    with torch.no_grad():
        expected = (model(torch.from_numpy(MESSAGES_UC)).numpy() - 2.0) / 0.5
    rewards = loaded.score(MESSAGES_UC)
    assert rewards.dtype == np.float32 and rewards.shape == (3,)
    np.testing.assert_allclose(rewards, expected, rtol=1e-6)
    np.testing.assert_allclose(loaded.train_rewards, expected, rtol=1e-6)
    assert np.array_equal(loaded.train_messages, MESSAGES_UC)


def test_scoring_in_blocks_alone_or_not_at_all(run_folder):
    loaded = load_reward_model(run_folder)
    many = loaded.score(np.tile(MESSAGES_UC, (ROWS_AT_ONCE // 3 + 1, 1)))
    assert len(many) > ROWS_AT_ONCE
    np.testing.assert_allclose(many, np.tile(loaded.train_rewards, len(many) // 3), atol=1e-5)
    alone = [loaded.score(MESSAGES_UC[row : row + 1])[0] for row in range(3)]
    np.testing.assert_allclose(alone, loaded.train_rewards, atol=1e-5)
    assert loaded.score(MESSAGES_UC[:0]).shape == (0,)


@pytest.mark.filterwarnings("error")
def test_scoring_read_only_bytes(run_folder):
    message = np.frombuffer(MESSAGES_UC[1].tobytes(), np.uint8)[None]
    loaded = load_reward_model(run_folder)
    assert loaded.score(message) == pytest.approx(loaded.train_rewards[1:2], abs=1e-5)


def test_a_loaded_model_keeps_no_gradient(run_folder):
    model = load_reward_model(run_folder).model
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_threshold(run_folder):
    loaded = load_reward_model(run_folder)
    assert loaded.threshold(0.5) == 5.0
    assert loaded.threshold(0.95) == 9.5
    assert loaded.threshold(0.3) == pytest.approx(3.0)
    assert loaded.threshold(0) == loaded.threshold(0, normalised=False) == -np.inf
    assert loaded.threshold(0, -1.5) == loaded.threshold(0.33, -1.5) == -1.5


def test_the_threshold_bars_the_one_message_whose_reward_it_is(run_folder):
    """In double precision a third is less than the reward that it was made of."""
    third = content(200, quantiles={"0.50": 1 / 3}, reward_mean=1 / 7, reward_var=1 / 3)
    save_checkpoint(run_folder, third)
    loaded = load_reward_model(run_folder)
    reward = np.float32(1 / 3)
    assert float(reward) > 1 / 3
    assert loaded.threshold(0.5) == reward
    raw = reward * np.float32((1 / 3) ** 0.5) + np.float32(1 / 7)
    assert loaded.threshold(0.5, normalised=False) == raw


@pytest.mark.parametrize("quantile", [-0.5, 0.52, 1.0, 0.501, float("nan")])
def test_a_quantile_that_is_not_stored(run_folder, quantile):
    message = r"--eps_threshold_quantile .* 0\.05, 0\.10, .*0\.95; choose one of them, or 0"
    with pytest.raises(CheckpointError, match=message):
        load_reward_model(run_folder).threshold(quantile)


def test_settings_that_the_caller_expects(run_folder):
    load_reward_model(run_folder, expected={"batch_size": 32})
    with pytest.raises(CheckpointError, match="made with --batch_size 32, not 64"):
        load_reward_model(run_folder, expected={"batch_size": 64})


def test_weights_are_read_as_plain_data_only(run_folder, tmp_path):
    class Malicious:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    path = run_folder / "checkpoint_p0" / "checkpoint_200.pth"
    torch.save({"model": Malicious()}, path)
    with pytest.raises(CheckpointError, match="damaged or holds more than tensors"):
        load_reward_model(run_folder)
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(CheckpointError, match="damaged or holds more than tensors"):
        load_reward_model(run_folder)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("damage", [b"", b"0.", b"garbage", b"PK\x03\x04", b"\x80\x02N."])
def test_a_file_of_something_else(run_folder, damage):
    (run_folder / "checkpoint_p0" / "checkpoint_200.pth").write_bytes(damage)
    with pytest.raises(CheckpointError, match=r"checkpoint_200.pth is damaged"):
        load_reward_model(run_folder)


@pytest.mark.parametrize("size", [0, 10, 1000, 100_000])
def test_a_truncated_checkpoint(run_folder, size):
    path = run_folder / "checkpoint_p0" / "checkpoint_100.pth"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"checkpoint_100.pth is damaged.*delete it to fall"):
        load_reward_model(run_folder)
    path.unlink()
    assert load_reward_model(run_folder).path.name == "checkpoint_9.pth"


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ([1, 2], "holds a list, not a checkpoint"),
        ({"model": {}}, "is no reward checkpoint: it lacks optimizer, config"),
        (
            {"num_iter": 3, "model": {}, "reward_mean": 0.0, "reward_var": 1.0},
            "made by the original release; import it: python -m scripts.import_release_reward",
        ),
        (content(7, config={"encoder_msg_model": "lt_cnn"}), "weights do not fit its settings"),
        (content(7, config={"encoder_msg_model": "gpt"}), "weights do not fit.*gpt"),
        (content(7, model=OrderedDict()), "weights do not fit its settings.*Missing"),
        (content(7, reward_mean=float("nan")), "holds no finite mean; choose an earlier"),
        (content(7, reward_var=float("inf")), "no finite variance; .*with a smaller --reward_lr"),
        (content(7, quantiles={"0.50": -float("inf")}), "holds no finite quantiles"),
        (content(7, train_rewards=torch.tensor([0.0, float("nan")])), "no finite rewards"),
        (
            content(7, model={"head.bias": torch.tensor([float("nan")])}, reward_mean=float("nan")),
            "holds no finite weights, mean; choose an earlier checkpoint with --checkpoint_num",
        ),
    ],
)
def test_files_that_are_no_checkpoint_of_ours(run_folder, saved, message):
    torch.save(saved, run_folder / "checkpoint_p0" / "checkpoint_200.pth")
    with pytest.raises(CheckpointError, match=message):
        load_reward_model(run_folder)


def test_folders_without_a_checkpoint(tmp_path):
    command = "train one: python -m scripts.train_reward"
    with pytest.raises(CheckpointError, match=f"no reward folder .*gone; {command}"):
        load_reward_model(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=rf"there is: nothing\); {command}"):
        load_reward_model(tmp_path / "empty")
    (tmp_path / "begun" / "checkpoint_p0").mkdir(parents=True)
    (tmp_path / "begun" / "cfg.json").write_text("{}")
    (tmp_path / "begun" / "checkpoint_p0" / "checkpoint_best.pth").touch()
    with pytest.raises(CheckpointError, match=r"there is: cfg.json, checkpoint_p0\)"):
        load_reward_model(tmp_path / "begun")


def test_an_iteration_that_is_not_there(run_folder):
    with pytest.raises(CheckpointError, match=r"--checkpoint_num 5: .* iterations 0, 9, 100;"):
        load_reward_model(run_folder, 5)


def test_saving_keeps_the_newest(run_folder):
    save_checkpoint(run_folder, content(200), keep=2)
    assert list(list_checkpoints(run_folder)) == [100, 200]
    assert read_checkpoint(list_checkpoints(run_folder)[200])["iteration"] == 200

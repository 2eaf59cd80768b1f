"""Importing a checkpoint of the release, checked on a network built here in its naming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from motif.errors import CheckpointError, ConfigError
from motif.messages import encode
from motif.reward.checkpoint import load_reward_model
from motif.reward.config import RewardTrainingConfig
from motif.reward.release import ReleaseImportConfig, import_release_reward, read_quantiles
from motif.reward.statistics import QUANTILES
from motif.reward.training import train_reward

MESSAGES_UC = np.stack([encode(t) for t in ("", "You kill the newt!", "caf\xe9", "x" * 256)])


def sequence(small: bool) -> nn.Sequential:
    """All layers of the message encoder behind the first convolution."""
    pool, relu = nn.MaxPool1d(3), nn.ReLU()
    if small:
        layers = [relu, pool, nn.Conv1d(32, 32, 7), relu, pool, nn.Conv1d(32, 32, 3), relu, pool]
        layers += [nn.Flatten(), nn.Linear(96, 32), relu, nn.Linear(32, 32), relu]
    else:
        layers = [relu, pool, nn.Conv1d(64, 64, 7), relu, pool]
        for _ in range(4):
            layers += [nn.Conv1d(64, 64, 3), relu]
        layers += [pool, nn.Flatten(), nn.Linear(320, 128), relu]
    return nn.Sequential(*layers)


class ReleaseNetwork(nn.Module):
    """The release's reward model as far as its tensors and their use go."""

    def __init__(self, small: bool = False, blstats: bool = False) -> None:
        super().__init__()
        self.characters = 128 if small else 256
        encoder = nn.Module()
        width, channels, out = (16, 32, 32) if small else (32, 64, 128)
        if blstats:
            encoder.embed_blstats = nn.Sequential(
                nn.Linear(27, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()
            )
            out += 128
        encoder.char_lt = nn.Embedding(256, width, padding_idx=0)
        encoder.conv1 = nn.Conv1d(width, channels, 7)
        encoder.conv2_6_fc = sequence(small)
        encoder.fc = nn.Sequential(nn.Linear(out, 256), nn.ReLU(), nn.Linear(256, 512))
        self.encoder = encoder
        self.core = nn.GRU(512, 8)
        self.critic_linear = nn.Linear(512, 1)
        self.action_parameterization = nn.Linear(512, 23)
        self.reward_fn = nn.Sequential(nn.ReLU(), nn.Linear(512, 1))

    def forward(self, messages, blstats=None):
        characters = self.encoder.char_lt(messages[:, : self.characters].long()).transpose(1, 2)
        features = self.encoder.conv2_6_fc(self.encoder.conv1(characters))
        if blstats is not None:
            features = torch.cat([self.encoder.embed_blstats(blstats), features], dim=1)
        return self.reward_fn(self.encoder.fc(features)).squeeze(1)


def write_run(folder: Path, iterations=(0, 5, 10), **settings) -> dict[int, ReleaseNetwork]:
    """A run folder as the release leaves it; row ``r`` of the quantiles is r + 0.05 … r + 0.95."""
    (folder / "checkpoint_p0").mkdir(parents=True)
    (folder / "reward_metrics").mkdir()
    config = {
        "encoder_msg_model": "lt_cnn_small" if settings.get("small") else "lt_cnn",
        "use_blstats": settings.get("blstats", False),
        "reward_encoder": "nle_torchbeast_encoder",
        "hidden_size": 512,
    }
    (folder / "cfg.json").write_text(json.dumps(config))
    networks = {}
    for iteration in iterations:
        torch.manual_seed(iteration)
        networks[iteration] = ReleaseNetwork(**settings)
        with torch.no_grad():  # rewards that differ by more than rounding
            for parameter in networks[iteration].parameters():
                parameter *= 3
        checkpoint = {
            "num_iter": iteration,
            "model": networks[iteration].state_dict(),
            "optimizer": torch.optim.Adam(networks[iteration].parameters()).state_dict(),
            "reward_mean": torch.tensor(0.5),
            "reward_var": torch.tensor(4.0),
        }
        torch.save(checkpoint, folder / "checkpoint_p0" / f"checkpoint_{iteration}.pth")
    write_quantiles(folder, len(iterations))
    validations = ["iter,total_val_loss", *(f"{iteration},0.6" for iteration in iterations[:-1])]
    (folder / "val_metrics.csv").write_text("\r\n".join(validations) + "\r\n")
    return networks


def write_quantiles(folder: Path, rows: int, *, before: str = "") -> None:
    header = ",".join(str(step / 100) for step in range(5, 96, 5))
    lines = [",".join(f"{row + level:.2f}" for level in QUANTILES) for row in range(rows)]
    text = before + "\r\n".join([header, *lines]) + "\r\n"
    (folder / "reward_metrics" / "train_norm_quantiles.csv").write_text(text)


@pytest.fixture
def config(tmp_path) -> ReleaseImportConfig:
    return ReleaseImportConfig(
        release_dir=str(tmp_path / "release"),
        train_dir=str(tmp_path / "ours"),
        experiment="imported",
    )


def imported(config):
    import_release_reward(config)
    return load_reward_model(Path(config.train_dir) / config.experiment)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("blstats", [False, True])
def test_the_imported_model_gives_the_same_rewards(config, small, blstats):
    networks = write_run(Path(config.release_dir), small=small, blstats=blstats)
    loaded = imported(config)
    status = np.random.default_rng(0).random((4, 27), np.float32) if blstats else None
    with torch.no_grad():
        expected = networks[10](
            torch.from_numpy(MESSAGES_UC), torch.from_numpy(status) if blstats else None
        )
    rewards = loaded.score(MESSAGES_UC, status)
    np.testing.assert_allclose(rewards, (expected.numpy() - 0.5) / 2, rtol=1e-4, atol=1e-6)
    assert np.ptp(rewards) > 0.01
    assert (loaded.mean, loaded.variance) == (0.5, 4.0)
    assert loaded.train_messages.shape == (0, 256) and loaded.train_rewards.shape == (0,)


@pytest.mark.parametrize(("checkpoint", "row"), [(0, 2), (10, 2), (5, 1)])
def test_quantiles_come_from_the_row_of_the_checkpoint(config, checkpoint, row):
    write_run(Path(config.release_dir))
    loaded = imported(replace(config, checkpoint_num=checkpoint))
    assert loaded.threshold(0.5) == pytest.approx(row + 0.5)
    assert loaded.threshold(0.05) == pytest.approx(row + 0.05)


def test_checkpoints_deleted_since_are_known_from_the_validations(config):
    write_run(Path(config.release_dir))
    for iteration in (0, 5):
        (Path(config.release_dir) / "checkpoint_p0" / f"checkpoint_{iteration}.pth").unlink()
    assert imported(config).threshold(0.5) == pytest.approx(2.5)


def test_rows_of_an_earlier_start_do_not_count(config):
    write_run(Path(config.release_dir))
    header = ",".join(str(step / 100) for step in range(5, 96, 5))
    earlier = "\r\n".join([header, *[",".join(["99"] * 19)] * 4]) + "\r\n"
    write_quantiles(Path(config.release_dir), 3, before=earlier)
    assert imported(config).threshold(0.5) == pytest.approx(2.5)


def test_an_uncertain_row_is_refused(config):
    write_run(Path(config.release_dir))
    write_quantiles(Path(config.release_dir), 2)
    with pytest.raises(CheckpointError, match=r"2 rows of quantiles for 3 known saves \(0, 5, 10"):
        import_release_reward(config)


def test_an_unknown_tensor_is_refused(config):
    folder = Path(config.release_dir)
    write_run(folder)
    path = folder / "checkpoint_p0" / "checkpoint_10.pth"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["model"]["encoder.embed.weight"] = torch.zeros(3)
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match=r"tensor 'encoder.embed.weight' belongs to no"):
        import_release_reward(config)


def test_numbers_that_are_not_finite_are_refused(config):
    folder = Path(config.release_dir)
    write_run(folder)
    path = folder / "checkpoint_p0" / "checkpoint_10.pth"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["model"]["reward_fn.1.bias"] = torch.tensor([float("nan")])
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match=r"checkpoint_10\.pth holds no finite weights"):
        import_release_reward(config)
    assert not (Path(config.train_dir) / config.experiment).exists()


def change_config(folder: Path, **changes) -> None:
    content = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "cfg.json").unlink(), "cfg.json is missing; restore"),
        (lambda run: (run / "cfg.json").write_text("{"), "cfg.json cannot be read"),
        (lambda run: (run / "cfg.json").write_text("3"), "cfg.json cannot be read"),
        (lambda run: change_config(run, encoder_msg_model="bert"), "bert: choose one of"),
        (lambda run: change_config(run, use_blstats=True), "weights do not fit its settings"),
        (
            lambda run: (run / "reward_metrics" / "train_norm_quantiles.csv").unlink(),
            "train_norm_quantiles.csv is missing",
        ),
        (
            lambda run: (run / "reward_metrics" / "train_norm_quantiles.csv").write_text(""),
            "train_norm_quantiles.csv is empty",
        ),
        (lambda run: (run / "val_metrics.csv").write_text("iter\nx\n"), "CSV file is damaged"),
        (
            lambda run: torch.save({"model": {}}, run / "checkpoint_p0" / "checkpoint_99.pth"),
            "is no reward checkpoint of the release: it lacks num_iter",
        ),
    ],
)
def test_damaged_run_folders(config, damage, message):
    write_run(Path(config.release_dir))
    damage(Path(config.release_dir))
    with pytest.raises((CheckpointError, ConfigError), match=message):
        import_release_reward(config)


@pytest.mark.parametrize(
    "content",
    ["0.05,0.10\n-1,2\n0.5,nan\n", "nan,0.10\n-1,2\n0.5,1\n", "0.05,0.10\n-1,2\n0.5\n"],
)
def test_quantiles_that_are_no_numbers_or_too_few(tmp_path, content):
    (tmp_path / "reward_metrics").mkdir()
    (tmp_path / "reward_metrics" / "train_norm_quantiles.csv").write_text(content)
    (tmp_path / "val_metrics.csv").write_text("iteration,loss\n0,1\n157,0.5\n")
    with pytest.raises(CheckpointError, match=r"damaged \(a row of .* is not 2 finite numbers\)"):
        read_quantiles(tmp_path, 157)


def test_an_occupied_folder_is_not_overwritten(config):
    write_run(Path(config.release_dir))
    import_release_reward(config)
    with pytest.raises(CheckpointError, match="has checkpoints already; choose another"):
        import_release_reward(config)


def test_the_release_folder_must_be_named():
    with pytest.raises(ConfigError, match="--release_dir is required"):
        ReleaseImportConfig()


@pytest.mark.filterwarnings("ignore:.*has no provenance")
def test_an_imported_reward_cannot_be_trained_on(config, make_labelled_dataset):
    write_run(Path(config.release_dir))
    import_release_reward(config)
    training = RewardTrainingConfig(
        dataset_dir=str(make_labelled_dataset(10).directory),
        annotator="toy",
        train_dir=config.train_dir,
        experiment=config.experiment,
        device="cpu",
    )
    with pytest.raises(CheckpointError, match="was imported and cannot be trained on"):
        train_reward(training)

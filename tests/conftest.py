"""Fixtures that several areas share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from motif import messages
from motif.pairs_dataset import ARRAYS, PairsDataset

# The same examples in every CI run; elsewhere new ones each time. Slow machines are no failure.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


TEXTS = (
    "",
    "You kill the newt!",
    "You see here a fortune cookie.",
    "$ - 12 gold pieces.",
    "You descend the stairs.",
    "It's a wall.",
    "The jackal bites!",
    "You stop.  Your kitten is in the way.",
    "caf\xe9 \xff",  # bytes above 0x7f occur in real games
)

MakeDataset = Callable[..., PairsDataset]


def write_dataset(
    directory: Path, pairs: int, seq_len: int = 1, seed: int = 0, texts: Sequence[str] = TEXTS
) -> PairsDataset:
    """A synthetic dataset with every array of the layout; sides drawn from ``texts``."""
    rng = np.random.default_rng(seed)
    steps, sides = (pairs, 2, seq_len), (pairs, 2)
    encoded_UC = np.stack([messages.encode(text) for text in texts])
    arrays = {
        "message": encoded_UC[rng.integers(len(texts), size=steps)],
        "blstats": rng.integers(0, 50, size=(*steps, 27)),
        "tty_chars": rng.integers(32, 127, size=(*steps, 24, 80)).astype(np.uint8),
        "tty_colors": rng.integers(0, 16, size=(*steps, 24, 80)).astype(np.int8),
        "rewards": rng.integers(-1, 3, size=steps).astype(np.float32),
        "score": rng.integers(0, 4, size=sides),
        "turns": rng.integers(1, 5000, size=sides),
        "experience_level": rng.integers(1, 4, size=sides),
        "character": np.full(sides, b"mon-hum-neu-mal"),
    }
    for key, array in arrays.items():
        path = directory / ARRAYS[key].folder / f"{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    return PairsDataset(directory, keys=tuple(ARRAYS))


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    """``make_dataset(pairs, …)`` writes a synthetic dataset; ``name`` is its folder's."""

    def make(pairs: int = 16, *, name: str = "motif_dataset", **settings: object) -> PairsDataset:
        return write_dataset(tmp_path / name, pairs, **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_labelled_dataset(make_dataset: MakeDataset) -> MakeDataset:
    """``make_labelled_dataset(pairs, labels=…)``: with a label set named ``toy``.

    By default it can be learnt: the side whose message is earlier in ``TEXTS`` is the better one.
    There is no provenance beside it, as with the release's label sets.
    """

    def make(pairs: int = 200, *, labels: object = None, **settings: object) -> PairsDataset:
        dataset = make_dataset(pairs, **settings)
        if labels is None:
            ranks = {messages.encode(text).tobytes(): rank for rank, text in enumerate(TEXTS)}
            rank_NP = np.array(
                [[ranks[side[0].tobytes()] for side in pair] for pair in dataset.messages]
            )
            labels = np.where(rank_NP[:, 0] == rank_NP[:, 1], 2, rank_NP[:, 1] < rank_NP[:, 0])
        folder = dataset.directory / "preference"
        folder.mkdir()
        np.save(folder / "toy.npy", np.asarray(labels, dtype=np.int8))
        return dataset

    return make


@pytest.fixture(scope="session")
def reward_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small reward model, trained for one epoch; read it only."""
    from motif.reward.config import RewardTrainingConfig
    from motif.reward.training import train_reward

    directory = tmp_path_factory.mktemp("reward")
    dataset = write_dataset(directory / "motif_dataset", 60)
    (dataset.directory / "preference").mkdir()
    np.save(dataset.directory / "preference/toy.npy", np.arange(60, dtype=np.int8) % 3)
    config = RewardTrainingConfig(
        dataset_dir=str(dataset.directory),
        annotator="toy",
        train_dir=str(directory),
        experiment="toy_reward",
        batch_size=16,
        num_epochs=1,
        device="cpu",
        encoder_msg_model="lt_cnn_small",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels without provenance
        assert train_reward(config) == 0
    return config.run_folder


@pytest.fixture(scope="session")
def rl_run(tmp_path_factory: pytest.TempPathFactory, reward_folder: Path) -> Path:
    """The folder of a short RL run with both rewards, of 4 batches of 64; read it only."""
    pytest.importorskip("sample_factory")
    from rl_command import train_here

    train_dir = tmp_path_factory.mktemp("rl")
    rewards = ("--reward_dir", str(reward_folder), "--llm_reward", "0.1")
    rewards += ("--eps_threshold_quantile", "0")  # else few messages of short games are paid
    steps = ("--train_for_env_steps", "200", "--save_every_steps", "64", "--keep_checkpoints", "9")
    assert train_here(train_dir, "toy_agent", *rewards, *steps) == 0
    return train_dir / "toy_agent"

"""Fixtures that several areas share."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from small_dataset import TEXTS, write_dataset

from motif import messages
from motif.pairs_dataset import PairsDataset

# The same examples in every CI run; elsewhere new ones each time. Slow machines are no failure.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.register_profile("local", deadline=None)
FUZZ_INPUTS = int(os.environ.get("FUZZ_INPUTS", 100_000))
settings.register_profile("fuzz", deadline=None, max_examples=FUZZ_INPUTS, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


MakeDataset = Callable[..., PairsDataset]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws from the libraries' own generators is the same in every run."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:  # some tests look whether it is imported
        sys.modules["torch"].manual_seed(0)


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

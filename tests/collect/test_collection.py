"""Collecting a dataset: the same bytes whether interrupted or not, never half a dataset."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from motif.collect import collection
from motif.collect.collection import collect
from motif.collect.games import RecordedGame
from motif.collect.settings import CollectionConfig
from motif.collect.sources import PlayedGames, open_task
from motif.errors import ConfigError, DatasetError
from motif.games.nethack.adapter import NetHack
from motif.pairs_dataset import ARRAYS, PairsDataset
from motif.play.players import RandomPlayer

pytestmark = pytest.mark.nle

PAIRS = 600
GAME = NetHack()


def config_for(directory: Path, **settings: object) -> CollectionConfig:
    base = CollectionConfig(
        directory=str(directory), num_pairs=PAIRS, max_episode_steps=100, seed=5
    )
    return dataclasses.replace(base, **settings)


def played_by(player: RandomPlayer, task: str = "NetHackScore-v1", seed: int = 5) -> PlayedGames:
    return PlayedGames(GAME, open_task(GAME, task, 100), [player], seed)


def random_games() -> PlayedGames:
    return played_by(RandomPlayer(23))


def interrupted_games(patience: int) -> PlayedGames:
    return played_by(InterruptedPlayer(23, patience))


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("reference")
    collect(config_for(directory), random_games)
    return files_of(directory)


class InterruptedPlayer(RandomPlayer):
    """Plays like its parent until its patience is over."""

    def __init__(self, num_actions: int, patience: int) -> None:
        super().__init__(num_actions)
        self._patience = patience

    def act(self, observation):
        self._patience -= 1
        if self._patience < 0:
            raise KeyboardInterrupt
        return super().act(observation)


def test_the_layout_is_the_spec_s(reference, tmp_path):
    for name, content in reference.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert set(reference) == {"collection.json"} | {
        f"{spec.folder}/{key}.npy" for key, spec in ARRAYS.items()
    }
    pairs = PairsDataset(tmp_path, keys=tuple(ARRAYS))
    assert len(pairs) == PAIRS
    assert pairs["blstats"].shape == (PAIRS, 2, 1, 27)
    assert pairs["blstats"].dtype == np.int64
    assert pairs["rewards"].shape == (PAIRS, 2, 1)
    assert pairs["rewards"].dtype == np.float32
    assert pairs["score"].dtype == np.int64
    assert set(pairs["character"].ravel()) == {b"mon-hum-neu-mal"}
    made = json.loads(reference["collection.json"])
    assert made["settings"]["policy"] == ["random"]
    assert made["settings"]["seed"] == 5
    assert made["observations"] >= 2 * PAIRS
    assert made["nle"] and made["dates"]
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in reference.items()}
    assert made["sha256"] == {name: sum for name, sum in sums.items() if name.endswith(".npy")}


def test_info_belongs_to_the_game_of_the_side(tmp_path):
    collect(config_for(tmp_path, num_pairs=100), random_games)
    pairs = PairsDataset(tmp_path, keys=tuple(ARRAYS))
    score, turn = pairs["blstats"][..., 0, 9], pairs["blstats"][..., 0, 20]
    assert (score <= pairs["score"]).all()
    assert (turn <= pairs["turns"]).all()
    made = json.loads((tmp_path / "collection.json").read_text())
    assert len(np.unique(pairs["turns"])) <= made["games"]


def test_longer_sides_are_consecutive_steps(tmp_path):
    collect(config_for(tmp_path, num_pairs=50, seq_len=4), random_games)
    pairs = PairsDataset(tmp_path, keys=tuple(ARRAYS))
    assert pairs.messages.shape == (50, 2, 4, 256)
    score, turn = pairs["blstats"][..., 9], pairs["blstats"][..., 20]
    assert (np.diff(turn, axis=2) >= 0).all()
    expected = np.diff(score, axis=2) - 0.01 * (np.diff(turn, axis=2) == 0)
    np.testing.assert_allclose(pairs["rewards"][:, :, 1:], expected, atol=1e-6)


@pytest.mark.parametrize("patience", [0, 150, 700, 1150])
def test_interrupted_then_resumed_equals_uninterrupted(tmp_path, reference, patience):
    with pytest.raises(KeyboardInterrupt):
        collect(config_for(tmp_path), lambda: interrupted_games(patience))
    assert not (tmp_path / "data").exists()
    collect(config_for(tmp_path), random_games)
    assert files_of(tmp_path) == reference


@pytest.fixture(scope="module")
def rare_reference(tmp_path_factory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("rare")
    collect(config_for(directory, sampling="rare", num_pairs=150), random_games)
    return files_of(directory)


def test_rare_sampling_makes_empty_messages_rarer_and_writes_the_weights(rare_reference, tmp_path):
    for name, content in rare_reference.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    pairs = PairsDataset(tmp_path, keys=(*ARRAYS, "weight"))
    made = json.loads(rare_reference["collection.json"])
    assert made["observations"] >= 4 * 2 * len(pairs)
    empty = ~pairs.messages.any(axis=(2, 3))
    weight = pairs["weight"]
    assert weight.dtype == np.float32 and weight.shape == (150, 2)
    assert weight[empty].max() < 1 and len(np.unique(weight[empty])) == 1
    played = list(itertools.islice(random_games().games(0), made["games"]))
    share = np.mean(np.concatenate([~g.arrays["message"].any(axis=1) for g in played]))
    assert empty.mean() < 0.7 * share
    assert (empty / weight).sum() / (1 / weight).sum() == pytest.approx(
        share, abs=0.12
    )  # 300 sides


def test_rare_sampling_resumes_too(tmp_path, rare_reference):
    config = config_for(tmp_path, sampling="rare", num_pairs=150)
    with pytest.raises(KeyboardInterrupt):
        collect(config, lambda: interrupted_games(700))
    collect(config, random_games)
    assert files_of(tmp_path) == rare_reference


def test_provenance_tells_how_each_player_did(tmp_path):
    players = [RandomPlayer(23), RandomPlayer(23)]
    players[1].name = "other"
    environment = open_task(GAME, "NetHackScore-v1", 100)
    collect(config_for(tmp_path), lambda: PlayedGames(GAME, environment, players, 5))
    made = json.loads((tmp_path / "collection.json").read_text())
    games = list(itertools.islice(random_games().games(0), made["games"]))
    assert set(made["players"]) == {"random", "other"}
    other = games[1::2]
    assert made["players"]["other"] == {
        "games": len(other),
        "observations": sum(map(len, other)),
        "mean_score": np.mean([game.score for game in other]),
        "median_score": np.median([game.score for game in other]),
        "mean_deepest_level": np.mean([game.deepest_level for game in other]),
    }


@pytest.mark.parametrize("last", ["info", "collection.json", "data"])
def test_a_crash_while_the_parts_are_renamed_loses_nothing(tmp_path, reference, monkeypatch, last):
    replace, rmtree = os.replace, collection.shutil.rmtree

    def replace_then_crash(source, target):
        replace(source, target)
        if Path(target) == tmp_path / last:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace_then_crash)
    with pytest.raises(KeyboardInterrupt):
        collect(config_for(tmp_path), random_games)
    assert (tmp_path / "data").exists() == (last == "data")
    monkeypatch.setattr(os, "replace", replace)
    assert collection.shutil.rmtree is rmtree
    collect(config_for(tmp_path), random_games)
    assert files_of(tmp_path) == reference


KILLED_RUN = """
import sys, time
from motif.collect.games import RecordedGame
from motif.play.players import RandomPlayer
from motif.collect.sources import PlayedGames
reset = RandomPlayer.reset
def slow_reset(self, rng):
    time.sleep(0.1)
    reset(self, rng)
RandomPlayer.reset = slow_reset
from scripts.collect_pairs_dataset import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_killed_with_9_again_and_again_then_resumed(tmp_path, reference):
    command = [sys.executable, "-c", KILLED_RUN, "--directory", str(tmp_path)]
    command += ["--num_pairs", str(PAIRS), "--max_episode_steps", "100", "--seed", "5"]
    for games in (1, 9):
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob(".collecting/game-*.npz"))) < games:
            assert run.poll() is None and time.monotonic() < deadline, "no game was written"
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert not (tmp_path / "data").exists()
    collect(config_for(tmp_path), random_games)
    assert files_of(tmp_path) == reference


def test_a_finished_dataset_is_left_alone(tmp_path, reference):
    made = collect(config_for(tmp_path), random_games)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def no_games():
        raise AssertionError("nothing is to be played")

    assert collect(config_for(tmp_path), no_games) == made
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_other_seeds_give_other_games(tmp_path, reference):
    collect(config_for(tmp_path, seed=6), lambda: played_by(RandomPlayer(23), seed=6))
    assert files_of(tmp_path)["data/message.npy"] != reference["data/message.npy"]


def test_other_settings_are_refused_by_name(tmp_path):
    collect(config_for(tmp_path, num_pairs=20), random_games)
    with pytest.raises(DatasetError, match=r"--num_pairs 20, not 30; --seed 5, not 8; use the"):
        collect(config_for(tmp_path, num_pairs=30, seed=8), random_games)


def test_other_settings_are_refused_for_a_dataset_that_was_begun(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        collect(config_for(tmp_path), lambda: interrupted_games(500))
    with pytest.raises(DatasetError, match=r"--seed 5, not 8; use .* or delete .*\.collecting to"):
        collect(config_for(tmp_path, seed=8), random_games)


class FiniteGames:
    """A few games from somewhere else."""

    def __init__(self, games: list[RecordedGame]) -> None:
        self._games = games

    def games(self, first: int) -> Iterator[RecordedGame]:
        yield from self._games[first:]


def test_games_of_another_source_become_a_dataset(tmp_path):
    games = list(itertools.islice(random_games().games(0), 3))
    games[1] = dataclasses.replace(games[1], character="val-hum-law-fem", player="somebody")
    collect(config_for(tmp_path, num_pairs=150), lambda: FiniteGames(games))
    pairs = PairsDataset(tmp_path, keys=tuple(ARRAYS))
    assert set(pairs["character"].ravel()) == {b"mon-hum-neu-mal", b"val-hum-law-fem"}
    made = json.loads((tmp_path / "collection.json").read_text())
    assert (made["games"], made["observations"]) == (3, sum(map(len, games)))
    assert made["characters"] == ["mon-hum-neu-mal", "val-hum-law-fem"]


def test_a_source_with_too_few_games_says_how_many_pairs_it_is_good_for(tmp_path):
    games = FiniteGames(list(itertools.islice(random_games().games(0), 5)))
    for number in (251, 600):
        with pytest.raises(DatasetError, match=rf"5 games, good for 250 pairs.*_pairs {number} "):
            collect(config_for(tmp_path, num_pairs=number), lambda: games)
        assert files_of(tmp_path) == {}
    collect(config_for(tmp_path, num_pairs=250), lambda: games)
    assert len(PairsDataset(tmp_path)) == 250


def test_a_mistaken_task_leaves_nothing_behind(tmp_path):
    with pytest.raises(ConfigError, match="unknown --task"):
        collect(config_for(tmp_path), lambda: played_by(RandomPlayer(23), "NetHackGo-v1"))
    assert files_of(tmp_path) == {}


def test_a_foreign_dataset_is_refused(make_dataset, tmp_path):
    make_dataset(4, name="theirs")
    with pytest.raises(DatasetError, match=r"theirs holds a dataset that this command did not"):
        collect(config_for(tmp_path / "theirs"), random_games)


def test_a_dataset_that_lost_its_data_is_refused(make_dataset, tmp_path):
    (tmp_path / "damaged" / "info").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"info is there without .*data, so this is a damaged"):
        collect(config_for(tmp_path / "damaged"), random_games)


def test_two_runs_in_one_folder_are_refused(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(DatasetError, match="another run is collecting into"):
        collect(config_for(tmp_path), random_games)
    os.close(descriptor)


def test_a_damaged_game_is_named(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        collect(config_for(tmp_path), lambda: interrupted_games(700))
    path = tmp_path / ".collecting" / "game-000000.npz"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DatasetError, match=r"game-000000\.npz cannot be read .*to start over"):
        collect(config_for(tmp_path), random_games)


def test_damaged_settings_are_named(tmp_path):
    (tmp_path / ".collecting").mkdir()
    (tmp_path / ".collecting" / "collection.json").write_text("{")
    with pytest.raises(DatasetError, match=r"collection\.json cannot be read"):
        collect(config_for(tmp_path), random_games)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_pairs": 0}, "--num_pairs must be at least 1, got 0"),
        ({"seq_len": 0}, "--seq_len must be at least 1, got 0"),
        ({"max_episode_steps": -1}, "--max_episode_steps must be at least 1, got -1"),
        ({"seed": -1}, "--seed must not be negative, got -1"),
        ({"seq_len": 101}, "--seq_len 101 is longer than any game"),
        ({"policy": ("checkpoint",)}, "--checkpoint RUN belong together: got .*--checkpoint None"),
        ({"checkpoint": ("run",)}, "--policy checkpoint and --checkpoint RUN belong together"),
        ({"policy": ("checkpoint", "checkpoint")}, "--policy names checkpoint twice"),
        ({"device": "gpu"}, "--device gpu is for the policies of --checkpoint, and there are none"),
        ({"candidates": 0}, "--candidates must be at least 1, got 0"),
        ({"rarity_exponent": -0.1}, "--rarity_exponent must be between 0 and 2, got -0.1"),
    ],
)
def test_settings_that_cannot_work(tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        config_for(tmp_path, **settings)

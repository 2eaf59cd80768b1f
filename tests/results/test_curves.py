"""From games to curves."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from motif.errors import ConfigError
from motif.results.curves import Curve, as_results, read_curve, sample_curve, write_curve
from motif.results.runs import Run


def run_of(env_steps, returns, **config) -> Run:
    episodes = {"env_steps": np.array(env_steps, float), "return": np.array(returns, float)}
    return Run("run", {"root_env": "NetHackScore-v1", **config}, episodes)


def test_a_point_is_the_mean_of_the_last_games_by_then():
    run = run_of([100, 250, 250, 400], [1, 2, 3, 4], train_for_env_steps=400)
    columns = sample_curve(run, points=4, games=2)
    assert columns["timesteps"].tolist() == [100, 200, 300, 400]
    assert columns["games"].tolist() == [1, 1, 3, 4]
    assert columns["return"].tolist() == [1, 1, 2.5, 3.5]


def test_a_curve_begins_with_the_first_game_and_ends_with_the_run():
    columns = sample_curve(run_of([250, 310], [1, 2], train_for_env_steps=1000), points=10)
    assert columns["timesteps"].tolist() == [300, 400]
    assert columns["return"].tolist() == [1, 1.5]
    assert sample_curve(run_of([], []), points=3)["timesteps"].tolist() == []


def curve_of(method="motif", seed=1, value=0.5, **config) -> Curve:
    columns = {"timesteps": np.array([10.0]), "return": np.array([value])}
    return Curve("NetHackScore-v1", method, seed, columns, config)


def test_results_have_a_list_for_each_seed():
    curves = [curve_of(seed=2, value=2), curve_of(seed=1, value=1), curve_of("extrinsic_only")]
    assert as_results(curves)["NetHackScore-v1"] == {
        "motif": {"timesteps": [[10], [10]], "returns": [[1], [2]]},
        "extrinsic_only": {"timesteps": [[10]], "returns": [[0.5]]},
    }


def test_a_seed_twice():
    with pytest.raises(ConfigError, match=r"two runs of motif on .* have the seed 1; name one"):
        as_results([curve_of(), curve_of()])


def test_csv_and_settings_without_the_machine(tmp_path):
    config = {"git_hash": "abc", "train_dir": "/home/me", "reward_dir": "rewards/gold", "lr": 1}
    config |= {"model": "/home/me/judge.gguf", "prompt": "a/b"}
    path = write_curve(tmp_path, curve_of(**config))
    assert path == tmp_path / "NetHackScore-v1/motif_seed1.csv"
    assert list(csv.reader(path.open())) == [["timesteps", "return"], ["10", "0.5"]]
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["commit"] == "abc"
    assert about["config"] == {
        "reward_dir": "gold",
        "lr": 1,
        "model": "judge.gguf",
        "prompt": "a/b",
    }


def test_a_run_folder_with_and_without_a_name(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    config = {"root_env": "NetHackOracle-v1", "seed": 3, "llm_reward": 0.1, "extrinsic_reward": 0}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "episodes.csv").write_text("env_steps,return,length\n100,50,9\n")
    curve = read_curve(str(folder))
    assert (curve.task, curve.method, curve.seed) == ("NetHackOracle-v1", "intrinsic_only", 3)
    assert read_curve(f"gold={folder}").method == "gold"

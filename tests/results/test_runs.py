"""Reading a run folder without Sample Factory."""

from __future__ import annotations

import json

import pytest

from motif.errors import CheckpointError
from motif.intrinsic.terms import TRAINED
from motif.results.runs import Run, read_run

GAMES = "env_steps,return,length\n100,1,50\n300,2,60\n"


def write_run(folder, **settings):
    folder.mkdir(exist_ok=True)
    config = {"root_env": "NetHackScore-v1", "experiment": "named", **settings}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "episodes.csv").write_text(GAMES)
    return folder


def test_settings_and_games(tmp_path):
    run = read_run(write_run(tmp_path / "folder"))
    assert (run.name, run.task, run.steps) == ("named", "NetHackScore-v1", 300)
    assert run.episodes["return"].tolist() == [1, 2]
    assert run.change("return") is None  # two games


@pytest.mark.parametrize(
    "extrinsic, intrinsic, bonus, method",
    [
        (0.1, 0.0, "", "extrinsic_only"),
        (0.1, 0.1, "", "motif"),
        (0.0, 0.1, "", "intrinsic_only"),
        (0.1, 0.0, "long_words:LongWords", "LongWords"),
        *[(10.0, 0.0, bonus, bonus) for bonus in ("counts", *TRAINED)],
        *[(0.0, 0.0, bonus, f"{bonus}_only") for bonus in ("counts", *TRAINED)],
        *[(0.1, 0.1, bonus, f"motif_{bonus}") for bonus in ("counts", *TRAINED)],
        *[(0.0, 0.1, bonus, f"intrinsic_only_{bonus}") for bonus in ("counts", *TRAINED)],
    ],
)
def test_the_method_is_named_by_what_pays(extrinsic, intrinsic, bonus, method):
    config = {"extrinsic_reward": extrinsic, "llm_reward": intrinsic, "bonus": bonus}
    assert Run("run", config, {}).method == method
    if not bonus:  # a run of a version without bonuses
        del config["bonus"]
        assert Run("run", config, {}).method == method


def test_a_run_without_a_name_has_its_folders(tmp_path):
    assert read_run(write_run(tmp_path / "folder", experiment=None)).name == "folder"


def test_the_beginning_is_that_of_the_games_that_began_first(tmp_path):
    folder = write_run(tmp_path / "folder", num_workers=2, num_envs_per_worker=2)
    lines = [f"{100 * number},{number},{10 if number else 100}" for number in range(1, 11)]
    lines += ["1100,99,275"]  # began at 0, ended last
    (folder / "episodes.csv").write_text("\n".join(["env_steps,return,length", *lines, ""]))
    assert read_run(folder).change("return").first == pytest.approx((99 + 1) / 2)


def test_no_run(tmp_path):
    with pytest.raises(CheckpointError, match=r"no RL run in .*config\.json is missing.*scripts"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_settings(tmp_path, content):
    folder = write_run(tmp_path / "folder")
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        read_run(folder)


def test_no_games(tmp_path):
    (write_run(tmp_path / "folder") / "episodes.csv").unlink()
    with pytest.raises(CheckpointError, match=r"no .*episodes\.csv"):
        read_run(tmp_path / "folder")

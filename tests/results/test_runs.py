"""Reading a run folder without Sample Factory."""

from __future__ import annotations

import json

import pytest

from motif.errors import CheckpointError
from motif.results.runs import read_run

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

"""The experiment's plan, and all of it with runs of some hundred steps."""

from __future__ import annotations

import csv
import shlex
from collections import Counter
from functools import partial

import pytest

from motif import pipeline
from motif.pipeline import Stage
from motif.results.results_file import read_results
from scripts import reproduce
from scripts.reproduce import ReproduceConfig, make_stages, planned_runs


def test_three_methods_two_tasks_three_seeds_and_steering():
    runs = list(planned_runs(ReproduceConfig()))
    assert len({one.name for one in runs}) == len(runs) == 3 * 2 * 3 + 4 * 3
    experiment = [one for one in runs if not one.name.startswith("steering")]
    assert Counter((one.task, one.steps) for one in experiment) == {
        ("NetHackScore-v1", 600_000): 9,
        ("NetHackStaircase-v1", 300_000): 9,
    }
    assert {(one.extrinsic_reward, one.llm_reward) for one in experiment} == {
        *((0.1, 0.0), (0.1, 0.1), (0.0, 0.1)),  # the score task
        *((10.0, 0.0), (10.0, 0.1), (0.0, 0.1)),
    }
    steering = [one for one in runs if one.name.startswith("steering")]
    assert [one.goal for one in steering] == list(reproduce.GOALS) * 3
    assert {(one.extrinsic_reward, one.llm_reward) for one in steering} == {(0.0, 0.1)}


def commands(config: ReproduceConfig) -> dict[str, str]:
    return {stage.name: shlex.join(stage.command) for stage in make_stages(config)}


def test_the_shipped_dataset_is_unpacked_and_has_its_labels(tmp_path):
    made = commands(ReproduceConfig(tmp_path))
    assert list(made)[:2] == ["unpack", "reward_defaultgoal"]
    assert list(made)[-2:] == ["curves", "plots"]
    assert f"--dataset_dir {tmp_path / 'motif_dataset'} " in made["reward_defaultgoal"]
    assert "--annotator rules_msg_defaultgoal " in made["reward_defaultgoal"]


def test_a_given_dataset_is_neither_unpacked_nor_labelled(tmp_path):
    config = ReproduceConfig(tmp_path, dataset=tmp_path / "mine", annotator="llm_{goal}")
    made = commands(config)
    first, *_ = made.items()
    assert first[0] == "reward_defaultgoal"
    assert f"--dataset_dir {tmp_path / 'mine'} --annotator llm_defaultgoal " in first[1]
    assert "--reward_dir" not in made["NetHackScore-v1_extrinsic_only_1"]
    rewarded = made["NetHackScore-v1_motif_1"]
    assert rewarded.endswith(f" --reward_dir {tmp_path}/reward/defaultgoal")


def test_what_is_done_is_kept_and_never_taken_for_something_else(tmp_path, monkeypatch, capsys):
    asked: list[str] = []

    def run_stage(status: int, stage: Stage) -> int:
        asked.append(stage.name)
        if status == 0:
            stage.makes.parent.mkdir(parents=True, exist_ok=True)
            stage.makes.touch()
        return status

    monkeypatch.setattr(pipeline, "run_stage", partial(run_stage, 1))
    flags = ["--directory", str(tmp_path), "--small", "True"]
    assert reproduce.main(flags) == 1
    assert asked == ["collect"]  # it failed: nothing is done after it, nor noted
    assert "ended with status 1; the same command goes on" in capsys.readouterr().out
    monkeypatch.setattr(pipeline, "run_stage", partial(run_stage, 0))
    monkeypatch.setattr(reproduce, "write_tables", lambda root, planned: None)
    assert reproduce.main(flags) == 0
    count = len(asked)
    capsys.readouterr()
    assert reproduce.main(flags) == 0
    assert asked[count:] == ["curves", "plots"]  # cheap, and made anew
    assert "] collect: done before, in 0 s\n" in capsys.readouterr().out
    assert reproduce.main(flags[:2]) == 2  # not small: other commands
    assert f"{tmp_path} was begun with other settings:" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.nle
def test_one_run_for_real(tmp_path, capfd, monkeypatch):
    pytest.importorskip("sample_factory")
    monkeypatch.setattr(reproduce, "TASKS", {"NetHackStaircase-v1": 300_000})
    monkeypatch.setattr(reproduce, "METHODS", {"motif": (1.0, 0.1)})
    monkeypatch.setattr(reproduce, "GOALS", ("gold",))
    flags = ["--directory", str(tmp_path), "--small", "True", "--seeds", "1"]
    assert reproduce.main([*flags, "--steering_seeds", "1"]) == 0
    with (tmp_path / "table.csv").open() as file:
        row, steered = csv.DictReader(file)
    assert (row["method"], row["reward"], row["seed"]) == ("motif", "defaultgoal", "1")
    assert (steered["method"], steered["reward"]) == ("intrinsic_only", "gold")
    assert int(row["steps"]) <= 3_000
    with (tmp_path / "steering.csv").open() as file:
        (played,) = csv.DictReader(file)
    assert (played["reward"], played["seed"], played["games"]) == ("gold", "1", "1")
    assert float(played["deepest"]) >= 1
    assert (tmp_path / "plots" / "steering.png").is_file()
    results = read_results(tmp_path / "motif_results.pkl")
    assert list(results) == ["NetHackStaircase-v1"]
    assert "[10/10]" in capfd.readouterr().out

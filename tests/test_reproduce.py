"""The experiment's plan, and all of it with runs of some hundred steps."""

from __future__ import annotations

import csv
import shlex
from functools import partial

import numpy as np
import pytest

from motif import pipeline
from motif.errors import ConfigError
from motif.file_lock import only_run
from motif.pipeline import Stage
from motif.play.games_file import append_rows
from motif.results.experiment import interval_over_seeds, over_seeds
from motif.results.results_file import read_results
from scripts import reproduce
from scripts.reproduce import (
    ARMS,
    LABELS,
    QUESTIONS,
    Planned,
    ReproduceConfig,
    make_stages,
    planned_runs,
    write_tables,
)

COMPARED = ("extrinsic_only", "motif", "intrinsic_only")


def test_every_question_asks_about_known_arms_and_every_arm_is_asked_about():
    asked = {arm for _, arms in QUESTIONS.values() for arm in arms}
    assert asked == set(ARMS)
    assert {arm.reward for arm in ARMS.values()} - {""} == set(LABELS)
    for _, arms in QUESTIONS.values():
        assert len(set(arms)) == len(arms)


def test_a_run_that_two_questions_ask_about_is_trained_once():
    config = ReproduceConfig(subset=("score", "judges", "labels", "steering"), seeds=2)
    runs = planned_runs(config)
    assert len({one.name for one in runs}) == len(runs) == 2 * (7 + 7 + 7)
    first = [one.arm for one in runs if one.seed == 1]
    assert first == [one.arm for one in runs if one.seed == 2] == [one.arm for one in runs[:21]]
    assert tuple(first[:3]) == COMPARED


def test_some_arms_of_a_question():
    runs = planned_runs(ReproduceConfig(subset=("score", "judges"), arms=("counts", "motif")))
    assert [one.arm for one in runs] == ["motif", "counts"] * 3


def test_what_was_made_elsewhere_is_not_made_again_and_counts_in_tables_and_curves(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    score, arms = "NetHackScore-v1", ("extrinsic_only", "motif")
    seeds = {here: (2, 3), there: (1, 2)}  # the second is this one's own
    for root, own in seeds.items():
        rows = []
        for one in (Planned(score, arm, seed) for seed in own for arm in arms):
            folder = root / "rl" / one.name
            folder.mkdir(parents=True)
            (folder / "episodes.csv").touch()
            value = one.seed + 10 * (one.arm == "motif") + 100 * (root == here)
            rows += [
                {"player": f"x/{one.name}", "number": n, "score": value, "gold": 0}
                | {"kills a monster": 1, "length": 100, "return": value}
                for n in range(3)
            ]
        (root / "evaluation" / score).mkdir(parents=True)
        append_rows(root / "evaluation" / score / "games.csv", rows)
    config = ReproduceConfig(here, ("primary",), arms, others=(there,))
    made = commands(config)
    assert [name for name in made if name.startswith(score)] == [
        f"{score}_{arm}_{seed}" for seed in (2, 3) for arm in arms
    ]
    assert made["curves"].partition(" --run ")[2].split() == [
        f"{arm}={root}/rl/{score}_{arm}_{seed}"
        for root, seed in ((there, 1), (here, 2), (here, 3))
        for arm in arms
    ]
    assert f"{there}/rl" not in made[f"evaluate_{score}"]
    write_tables(config)
    with (here / "runs.csv").open() as file:
        found = [(row["arm"], row["seed"], float(row["score"])) for row in csv.DictReader(file)]
    assert found == [
        *(("extrinsic_only", "1", 1.0), ("motif", "1", 11.0), ("extrinsic_only", "2", 102.0)),
        *(("motif", "2", 112.0), ("extrinsic_only", "3", 103.0), ("motif", "3", 113.0)),
    ]
    (there / "evaluation" / score / "games.csv").unlink()
    with pytest.raises(ConfigError, match=r"games.csv has no games of .*_extrinsic_only_1; "):
        write_tables(config)


def test_another_machines_part_of_the_seeds_and_what_is_left_of_them(tmp_path):
    there = tmp_path / "there"
    part = ReproduceConfig(there, ("primary",), ("motif",), first_seed=4, seeds=2)
    assert [one.seed for one in planned_runs(part)] == [4, 5]
    for one in planned_runs(part):
        (there / "rl" / one.name).mkdir(parents=True)
        (there / "rl" / one.name / "episodes.csv").touch()
    whole = ReproduceConfig(tmp_path, ("primary",), ("motif",), seeds=5, others=(there,))
    trained = [name[-1] for name in commands(whole) if name.startswith("NetHackScore-v1")]
    assert trained == ["1", "2", "3"]
    nothing = ReproduceConfig(tmp_path, ("primary",), ("motif",), None, 1, 2, 4, others=(there,))
    assert list(commands(nothing)) == ["curves", "plots"]


def commands(config: ReproduceConfig) -> dict[str, str]:
    return {stage.name: shlex.join(stage.command) for stage in make_stages(config)}


def test_coefficients_are_the_papers(tmp_path):
    made = commands(ReproduceConfig(tmp_path, subset=("score", "sparse")))
    for task, coefficient in (("NetHackScore-v1", 0.1), ("NetHackOracle-v1", 10.0)):
        rewards = [made[f"{task}_{arm}_1"].partition(" --extrinsic_reward ")[2] for arm in COMPARED]
        learnt = f"--llm_reward 0.1 --reward_dir {tmp_path}/reward/llm"
        assert rewards == [
            f"{coefficient} --llm_reward 0.0",
            f"{coefficient} {learnt}",
            f"0.0 {learnt}",
        ]
    assert made["NetHackScore-v1_e3b_3"].endswith("0.0 --bonus e3b --bonus_reward 0.001")


def test_the_shipped_dataset_is_unpacked_and_its_labels_by_a_real_model_are_learnt(tmp_path):
    made = commands(ReproduceConfig(tmp_path, subset=("steering",)))
    assert list(made)[:3] == ["unpack", "reward_llm", "reward_gold"]
    assert list(made)[-3:] == ["evaluate_NetHackScore-v1", "curves", "plots"]
    assert f"--dataset_dir {tmp_path / 'motif_dataset'} " in made["reward_gold"]
    assert made["reward_gold"].endswith(" --annotator Qwen2.5-Coder-1.5B-Instruct_msg_gold_rating")


def test_flags_of_labels_are_flags(tmp_path):
    made = commands(ReproduceConfig(tmp_path, subset=("labels",)))
    assert made["reward_tenth"].endswith("_msg_defaultgoal_rating --label_share 0.1")


def test_labels_made_while_training_are_of_the_judge_that_is_named(tmp_path):
    judge = """--backend llamacpp --model judge.gguf --engine-args '{"a": 1}'"""
    made = commands(ReproduceConfig(tmp_path, ("online",), judge=judge, agent_flags="--device cpu"))
    assert made["NetHackScore-v1_online_1"].endswith(
        f" --llm_reward 0.0 --llm_reward 0.1 --online ranking {judge} --device cpu"
    )
    assert [name for name, line in made.items() if judge in line] == [
        f"NetHackScore-v1_online_{seed}" for seed in (1, 2, 3)
    ]
    assert list(made)[1:3] == ["reward_rules", "reward_small"]


def test_a_given_dataset_is_neither_unpacked_nor_labelled(tmp_path):
    config = ReproduceConfig(tmp_path, ("labels",), dataset=tmp_path / "mine")
    first, *_ = commands(config).items()
    assert first[0] == "reward_llm"
    assert f"--dataset_dir {tmp_path / 'mine'} " in first[1] and "--annotator Qwen" in first[1]


def test_flags_for_every_run_come_last(tmp_path):
    config = ReproduceConfig(tmp_path, ("score",), agent_flags="--num_workers 16 --device gpu")
    made = commands(config)["NetHackScore-v1_motif_1"]
    assert made.endswith(" --num_workers 16 --device gpu")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--subset scores", "--subset scores: there are score, sparse, judges, labels"),
        ("--seeds 0", "--seeds 0: at least 1 is needed"),
        ("--frames 0", "--frames 0: at least 1 is needed"),
        ("--first_seed -1", "--first_seed -1: at least 0 is needed"),
        ("--judge rules'", "--judge rules': No closing quotation"),
        ("--others nowhere", "--others nowhere: there is no folder rl with runs in it"),
        ("--subset sparse --arms e3b", "--arms e3b: these questions have extrinsic_only, motif"),
    ],
)
def test_bad_flags_are_refused_in_a_line(flags, said, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        reproduce.main(["--directory", str(tmp_path / "new"), *flags.split()])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_intervals_are_over_seeds_and_over_games():
    rng = np.random.default_rng(0)
    alike = [rng.normal(5, 1, 200) for _ in range(3)]  # seeds differ by nothing but chance
    low, high = interval_over_seeds(alike)
    assert 0.1 < high - low < 0.4  # of 600 games: 4 / sqrt(600) = 0.16; and seeds are drawn
    apart = [games + shift for games, shift in zip(alike, (0, 10, 20))]
    low, high = interval_over_seeds(apart)
    assert low < 6 < 24 < high  # one resample in 27 draws the lowest seed alone
    (one,) = over_seeds([{"score": np.array([1.0, 3.0])}]).values()
    assert one == {"mean": 2.0, "low": 1.0, "high": 3.0}


def test_rates_are_of_all_steps_not_means_of_games_rates():
    gold, length = np.array([0.0, 3.0, 3.0]), np.array([100.0, 1000.0, 1900.0])
    summary = over_seeds([{"gold": gold, "length": length}] * 2)
    rate = summary["gold per 1,000 steps"]
    assert rate["mean"] == pytest.approx(2.0) and rate["low"] < 2.0 < rate["high"] < 3.1
    same = over_seeds([{"gold": length / 50, "length": length}])["gold per 1,000 steps"]
    assert [round(same[part], 9) for part in ("mean", "low", "high")] == [20, 20, 20]


def test_what_is_done_is_kept_and_never_taken_for_something_else(tmp_path, monkeypatch, capsys):
    asked: list[str] = []

    def run_stage(status: int, stage: Stage) -> int:
        asked.append(stage.name)
        if status == 0:
            stage.makes.parent.mkdir(parents=True, exist_ok=True)
            stage.makes.touch()
        return status

    monkeypatch.setattr(pipeline, "run_stage", partial(run_stage, 1))
    flags = ["--directory", str(tmp_path), "--subset", "score", "--small", "True"]
    assert reproduce.main(flags) == 1
    assert asked == ["collect"]  # it failed: nothing is done after it, nor noted
    assert "ended with status 1; the same command goes on" in capsys.readouterr().out
    monkeypatch.setattr(pipeline, "run_stage", partial(run_stage, 0))
    monkeypatch.setattr(reproduce, "write_tables", lambda config: None)
    assert reproduce.main(flags) == 0
    count = len(asked)
    capsys.readouterr()
    assert reproduce.main(flags) == 0
    assert asked[count:] == ["evaluate_NetHackScore-v1", "curves", "plots"]  # made anew
    assert "] collect: done before, in 0 s\n" in capsys.readouterr().out
    assert reproduce.main(flags[:4]) == 2  # not small: other commands
    assert f"{tmp_path} was begun with other settings:" in capsys.readouterr().err


def test_two_at_once_in_one_folder_are_refused(tmp_path, capsys):
    flags = ["--directory", str(tmp_path), "--subset", "score", "--small", "True"]
    with only_run(tmp_path, ConfigError("held")):
        assert reproduce.main(flags) == 2
    assert f"another run is at work in {tmp_path}; wait for it" in capsys.readouterr().err
    assert not (tmp_path / "stages.json").exists()


@pytest.mark.slow
@pytest.mark.nle
def test_one_run_for_real(tmp_path, capfd, monkeypatch):
    pytest.importorskip("sample_factory")
    task = "NetHackStaircase-v1"
    arms = ("motif", "intrinsic_only", "counts_only")
    monkeypatch.setitem(reproduce.QUESTIONS, "sparse", ((task,), arms))
    flags = f"--directory {tmp_path} --small True --subset sparse --seeds 1 --games 2"
    flags += " --arms counts_only motif"
    assert reproduce.main(flags.split()) == 0
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["arm"], row["seed"]) for row in rows] == [
        (task, "motif", "1"),
        (task, "counts_only", "1"),
    ]
    assert all(float(row["deepest"]) >= 1 and row["success"] in "0.0 0.5 1.0" for row in rows)
    with (tmp_path / "summary.csv").open() as file:
        for row in csv.DictReader(file):
            assert float(row["return low"]) <= float(row["return"]) <= float(row["return high"])
    assert (tmp_path / "plots" / f"sparse_{task}.png").is_file()
    assert list(read_results(tmp_path / "motif_results.pkl")) == [task]
    assert "[8/8]" in capfd.readouterr().out

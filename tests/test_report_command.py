"""The report of a real run, through its command line."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rl_command import short_games

from motif.results import run_report
from motif.reward.checkpoint import load_reward_model
from scripts import report

pytestmark = pytest.mark.nle
pytest.importorskip("sample_factory")


@pytest.fixture
def run_folder(rl_run, tmp_path):
    shutil.copytree(rl_run, tmp_path / "run")
    return tmp_path / "run"


def sections(page: str) -> list[str]:
    return [html.unescape(title) for title in re.findall(r"<h2>(.*?)</h2>", page)]


def test_all_of_it(run_folder, reward_folder, tmp_path, capsys):
    other = tmp_path / "gold"
    shutil.copytree(reward_folder, other)
    flags = ["--run", str(run_folder), "--play", "2", "--policies", "2", "--device", "cpu"]
    with short_games(15):
        assert report.main([*flags, "--reward_dir", str(reward_folder), str(other)]) == 0
    assert f"written to {run_folder}/report.html" in capsys.readouterr().out
    page = (run_folder / "report.html").read_text()
    assert sections(page) == [
        "At a glance",
        "Learning curves",
        "Where the intrinsic reward comes from",
        "Intrinsic against task's return",
        "What toy_reward likes",
        "Reward models side by side",
        "What gold likes",
        "Agreement of toy_reward with its labels",
    ]
    assert "<script" not in page and "http" not in re.sub(r'http-equiv="', "", page)


def test_what_was_played_is_kept_and_adds_up(run_folder, reward_folder):
    flags = ["--run", str(run_folder)]
    with short_games(15):
        assert report.main([*flags, "--play", "2", "--policies", "3"]) == 0
    kept = json.loads((run_folder / "messages_paid.json").read_text())
    assert kept["settings"]["games"] == 2
    first, *_, last = kept["checkpoints"]
    assert len(kept["checkpoints"]) == 3
    assert first["env_steps"] < last["env_steps"]
    loaded = load_reward_model(reward_folder)
    known = {bytes(m).rstrip(b"\0"): r for m, r in zip(loaded.train_messages, loaded.train_rewards)}
    for checkpoint in kept["checkpoints"]:
        paid = sum(entry["paid"] for entry in checkpoint["messages"])
        assert paid == pytest.approx(2 * checkpoint["intrinsic_return"])
        assert checkpoint["steps"] == 2 * 15
        for entry in checkpoint["messages"]:
            if entry["seen"] == 1:  # shown once: the whole reward, times llm_reward
                reward = known.get(entry["message"].encode("latin-1"))
                assert reward is None or entry["paid"] == pytest.approx(0.1 * reward)
    before = (run_folder / "messages_paid.json").stat().st_mtime_ns
    assert report.main(flags) == 0  # nothing is played again
    assert "Where the intrinsic reward comes from" in (run_folder / "report.html").read_text()
    assert (run_folder / "messages_paid.json").stat().st_mtime_ns == before


def test_runs_beside_one_another(rl_run, run_folder, tmp_path):
    output = tmp_path / "pages/both.html"
    flags = ["--run", str(rl_run), "--compare", str(run_folder), "--output", str(output)]
    assert report.main(flags) == 0
    page = output.read_text()
    assert str(rl_run) in page and str(run_folder) in page  # of one name: told apart by folder
    assert not (rl_run / "report.html").exists()


def test_an_extrinsic_run_needs_no_reward_model(run_folder, capsys):
    config = json.loads((run_folder / "config.json").read_text())
    (run_folder / "config.json").write_text(json.dumps({**config, "llm_reward": 0.0}))
    assert report.main(["--run", str(run_folder)]) == 0
    assert sections((run_folder / "report.html").read_text()) == ["At a glance", "Learning curves"]
    assert report.main(["--run", str(run_folder), "--play", "1"]) == 2
    assert "trained without the intrinsic reward; name one: --reward_dir" in capsys.readouterr().err


def test_changed_labels_are_not_compared(run_folder, make_labelled_dataset, capsys):
    dataset = make_labelled_dataset(50, labels=np.arange(50) % 2)
    assert report.main(["--run", str(run_folder), "--dataset", str(dataset.directory)]) == 0
    assert "without agreement with labels: " in (err := capsys.readouterr().err)
    assert "was trained on other pairs or labels" in err
    assert not any(title.startswith("Agreement") for title in sections(_page(run_folder)))


def test_a_reward_of_more_than_messages_is_refused(run_folder, reward_folder, capsys, monkeypatch):
    loaded = load_reward_model(reward_folder)
    reads_more = dataclasses.replace(loaded, config={**loaded.config, "use_blstats": True})
    monkeypatch.setattr(run_report, "load_reward_model", lambda folder, device: reads_more)
    assert report.main(["--run", str(run_folder)]) == 2
    assert "reads the status line beside the message" in capsys.readouterr().err


def test_a_shipped_model_is_not_called_imported(run_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no dataset is here
    model = Path(__file__).resolve().parent.parent / "models/reward_gold"
    assert report.main(["--run", str(run_folder), "--reward_dir", str(model)]) == 2
    error = capsys.readouterr().err
    assert "holds no messages, like every imported or exported model; name a dataset" in error


def _page(run_folder) -> str:
    return (run_folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--run /nowhere", "no RL run in /nowhere"),
        ("--reward_dir /nowhere", "no reward folder /nowhere"),
        ("--dataset /nowhere", "no dataset in /nowhere"),
        pytest.param(
            "--device gpu",
            "--device gpu: torch sees no GPU here; use --device cpu or auto",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_what_is_missing_is_named_and_nothing_written(run_folder, flags, message, capsys):
    assert report.main(["--run", str(run_folder), *flags.split()]) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not (run_folder / "report.html").exists()


@pytest.mark.parametrize(
    ("flags", "message"), [("--play -1", "--play -1: games"), ("--policies 1", "--policies 1: 2")]
)
def test_bad_flags(flags, message, capsys):
    with pytest.raises(SystemExit):
        report.main(flags.split())
    assert message in capsys.readouterr().err

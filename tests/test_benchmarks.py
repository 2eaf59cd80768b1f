"""The benchmarks: each says what it does, and the short ones end with their line."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from benchmarks import chosen_labels
from benchmarks.synthetic_pairs import write_pairs

pytest.importorskip("sample_factory")

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
BENCHMARKS = sorted(
    path.stem for path in FOLDER.glob("*.py") if "\nif __name__ ==" in path.read_text()
)


def test_there_are_some():
    assert {"annotation", "env_steps", "reward_training", "rl_throughput"} <= set(BENCHMARKS)


@pytest.mark.nle
@pytest.mark.parametrize("name", BENCHMARKS)
def test_help_is_printed_and_nothing_is_measured(name, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{name}").main(["--help"])
    assert not ended.value.code
    assert "usage: " in capsys.readouterr().out


@pytest.mark.nle
@pytest.mark.parametrize(
    ("name", "arguments", "ratio"),
    [
        ("env_steps", "--steps 200 --rounds 1", "compact_speed_of_raw"),
        ("reward_training", "--sizes 100 --rounds 1 --steps 1", "100"),
        (
            "chosen_labels",
            "--dataset {} --annotator synthetic --seeds 1 --budgets 60 90 --labels 60 --steps 2",
            "uncertain_labels_of_uniform",
        ),
    ],
)
def test_a_small_run_ends_with_its_line(name, arguments, ratio, capsys, tmp_path, monkeypatch):
    write_pairs(tmp_path, 200)
    for setting, value in (("FEWEST", 2), ("ENOUGH", 0.1)):
        monkeypatch.setattr(chosen_labels, setting, value)
    arguments = arguments.format(tmp_path)
    assert importlib.import_module(f"benchmarks.{name}").main(arguments.split()) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["benchmark"] == name
    assert line["ratios"][ratio] > 0
    assert line["figures"] and line["machine"] and line["commit"]

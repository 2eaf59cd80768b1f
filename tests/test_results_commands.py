"""Collecting and plotting the results of real runs, through their command lines."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from motif.results.aggregates import MeanCurve
from motif.results.comparison import curves_figure, method_colors
from motif.results.results_file import read_results, write_results
from scripts import collect_results, plot_results

pytestmark = pytest.mark.nle
pytest.importorskip("sample_factory")


@pytest.fixture
def runs(rl_run, tmp_path):
    """The short run, and copies of it with another seed and other coefficients."""
    folders = [rl_run]
    config = json.loads((rl_run / "config.json").read_text())
    changes = ({"seed": 8}, {"llm_reward": 0.0}, {"extrinsic_reward": 0.0})
    for number, change in enumerate(changes):
        shutil.copytree(rl_run, tmp_path / f"run{number}")
        (tmp_path / f"run{number}/config.json").write_text(json.dumps({**config, **change}))
        folders.append(tmp_path / f"run{number}")
    return [str(folder) for folder in folders]


def test_each_of_many_methods_has_a_line_of_its_own():
    steps = np.array([1.0, 2.0])
    curve = MeanCurve(steps, steps, steps, steps, np.stack([steps]))
    bonuses = ("", "_counts", "_rnd", "_noveld", "_e3b")
    names = [f"{of}{bonus}" for of in ("motif", "intrinsic_only", "_only") for bonus in bonuses]
    axes = curves_figure("task", dict.fromkeys(names, curve), method_colors(names)).axes[0]
    means = [line for line in axes.lines if line.get_linewidth() > 2]
    assert len({(line.get_color(), line.get_linestyle()) for line in means}) == len(names) == 15


def test_from_runs_to_figures(runs, tmp_path, capsys):
    pytest.importorskip("rliable")
    pickled, tables = tmp_path / "motif_results.pkl", tmp_path / "csv"
    flags = ["--output", str(pickled), "--csv_dir", str(tables)]
    assert collect_results.main(["--run", *runs, *flags]) == 0
    assert "NetHackScore-v1: motif, 2 seeds" in capsys.readouterr().out
    methods = read_results(pickled)["NetHackScore-v1"]
    assert {name: len(curves["returns"]) for name, curves in methods.items()} == {
        "motif": 2,
        "extrinsic_only": 1,
        "intrinsic_only": 1,
    }
    with (tables / "NetHackScore-v1/motif_seed8.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["timesteps"]) for row in rows] == methods["motif"]["timesteps"][1]
    assert {"intrinsic_return", "dlvl", "gold", "xlvl"} <= set(rows[0])
    about = (tables / "NetHackScore-v1/motif_seed8.json").read_text()
    assert json.loads(about)["config"]["seed"] == 8
    assert str(tmp_path) not in about

    plots = tmp_path / "plots"
    more = ["--run", f"ours={runs[0]}", "--output_dir", str(plots)]
    assert plot_results.main(["--results", str(pickled), str(pickled), *more]) == 0
    assert sorted(path.name for path in plots.iterdir()) == sorted(
        f"{name}.{kind}"
        for name in ("aggregates", "curves_NetHackScore-v1")
        for kind in ("csv", "pdf", "png")
    )
    with (plots / "aggregates.csv").open() as file:
        table = list(csv.DictReader(file))
    names = {row["method"] for row in table}
    assert names == {
        *("motif", "extrinsic_only", "intrinsic_only", "ours"),
        *(f"{name} (motif_results)" for name in ("motif", "extrinsic_only", "intrinsic_only")),
    }
    assert {row["aggregate"] for row in table} == {"median", "iqm", "mean", "optimality_gap"}


def test_curves_alone_need_no_rliable(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rliable", None)
    plots = tmp_path / "plots"
    flags = ["--run", runs[0], "--output_dir", str(plots), "--aggregates", "False"]
    assert plot_results.main(flags) == 0
    assert len(list(plots.iterdir())) == 3


def test_curves_of_unequal_length_are_pointed_at(tmp_path, capsys):
    curve = {"timesteps": [[10, 20]], "returns": [[0, 1]]}
    longer = {"timesteps": [[10, 90]], "returns": [[0, 1]]}
    path = tmp_path / "motif_results.pkl"
    flags = ["--results", str(path), "--output_dir", str(tmp_path), "--aggregates", "False"]
    for other, warned in ((curve, False), (longer, True)):
        write_results(path, {"NetHackScore-v1": {"motif": curve, "other": other}})
        assert plot_results.main(flags) == 0
        said = capsys.readouterr().err
        assert ("end at different steps (motif 20, other 90)" in said) == warned


def test_runs_without_a_finished_game_give_no_aggregates_and_no_error(tmp_path, capsys):
    path = tmp_path / "motif_results.pkl"
    none = {"timesteps": [[]], "returns": [[]]}
    write_results(path, {"NetHackScore-v1": {"motif": none}})
    flags = ["--results", str(path), "--output_dir", str(tmp_path / "plots")]
    assert plot_results.main(flags) == 0
    said = capsys.readouterr().out
    assert "no task has finished games of all methods (motif)" in said
    assert not (tmp_path / "plots").exists()


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        (collect_results, "--run /nowhere", "error: no RL run in /nowhere"),
        (plot_results, "--results /nowhere.pkl", "error: No such file or directory: /nowhere.pkl"),
    ],
)
def test_what_is_missing_is_named(command, flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(flags.split()) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_two_runs_of_one_seed(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert collect_results.main(["--run", runs[0], runs[0]]) == 2
    assert "have the seed 7; name one of them otherwise" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", [collect_results, plot_results])
def test_nothing_named(command, capsys):
    with pytest.raises(SystemExit):
        command.main([])
    assert "run folder" in capsys.readouterr().err

"""The command of stage 0."""

from __future__ import annotations

import json
import subprocess
import sys
import types

import pytest
import torch

from motif.pairs_dataset import PairsDataset
from motif.play.players import RandomPlayer
from sample_factory_ext.run_folder import policy_checkpoints
from scripts.collect_pairs_dataset import main

pytestmark = pytest.mark.nle

SMALL = ["--num_pairs", "60", "--max-episode-steps", "100"]


def test_it_collects_once_and_says_what_comes_next(tmp_path, capsys):
    command = ["--directory", str(tmp_path), *SMALL]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert "collected 60 pairs from " in first
    assert " pairs/s" in first
    assert f"next: python -m scripts.annotate_pairs_dataset --directory {tmp_path}" in first
    assert len(PairsDataset(tmp_path)) == 60
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("nothing to do: 60 pairs from ")


@pytest.fixture
def asked(monkeypatch):
    """What a stand-in for the player of trained policies is asked for."""
    asked = []

    class CheckpointPlayer(RandomPlayer):
        def __init__(self, run_folder, device, env_steps):
            asked.append((run_folder, device, env_steps))
            super().__init__(23)

    module = types.ModuleType("sample_factory_ext.player")
    module.CheckpointPlayer = CheckpointPlayer
    monkeypatch.setitem(sys.modules, "sample_factory_ext.player", module)
    return asked


def trained(tmp_path, name="pairs"):
    run_folder = tmp_path / "run"
    run_folder.mkdir(exist_ok=True)
    command = ["--directory", str(tmp_path / name), *SMALL]
    return [*command, "--policy", "checkpoint", "--checkpoint", str(run_folder)]


def test_a_trained_agent_plays(tmp_path, asked):
    assert main(trained(tmp_path)) == 0
    assert asked == [(tmp_path / "run", "cpu", None)]
    assert len(PairsDataset(tmp_path / "pairs")) == 60
    assert "device" not in json.loads((tmp_path / "pairs/collection.json").read_text())["settings"]


def test_a_trained_agent_plays_where_it_is_told_to(tmp_path, asked, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert main([*trained(tmp_path), "--device", "gpu"]) == 0
    assert asked == [(tmp_path / "run", "cuda", None)]
    made = json.loads((tmp_path / "pairs/collection.json").read_text())
    assert made["settings"]["device"] == "gpu"
    assert main(trained(tmp_path)) == 2  # other hardware rounds otherwise, so plays otherwise
    assert "was collected with --device gpu, not cpu; use the same" in capsys.readouterr().err
    assert main(trained(tmp_path, "others")) == 0
    assert main([*trained(tmp_path, "others"), "--device", "auto"]) == 2
    assert "was collected with --device cpu, not auto; use the same" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_named(tmp_path, asked, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*trained(tmp_path), "--device", "cuda"]) == 2
    assert "error: --device cuda: torch sees no GPU here; use" in capsys.readouterr().err
    assert not (tmp_path / "pairs" / "data").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--task", "NetHackGo-v1"], "unknown --task 'NetHackGo-v1'; there are: NetHackScore-v1"),
        (["--policy", "checkpoint", "--checkpoint", "nowhere"], "no RL run in nowhere; train one"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, capsys, flags, message):
    assert main(["--directory", str(tmp_path), *SMALL, *flags]) == 2
    error = capsys.readouterr().err
    assert f"error: {message}" in error
    assert "Traceback" not in error


def mixed(directory, run, steps):
    players = ["--policy", "random", "checkpoint", "explorer", "explorer"]
    checkpoints = ["--checkpoint", f"{run}@{steps}", str(run)]
    return ["--directory", str(directory), "--num_pairs", "250", "--max_episode_steps", "100",
            *players, *checkpoints]  # fmt: skip


@pytest.mark.slow
def test_players_take_turns_and_the_same_ones_give_the_same_bytes(tmp_path, rl_run):
    first, *_, last = policy_checkpoints(rl_run)
    for name in ("one", "two"):
        # two processes, since numba and torch keep much within one
        command = [sys.executable, "-m", "scripts.collect_pairs_dataset"]
        subprocess.run([*command, *mixed(tmp_path / name, rl_run, first)], check=True)
    paths = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(paths) == 10
    for path in paths:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
    made = json.loads((tmp_path / "one/collection.json").read_text())
    names = ["random", f"toy_agent@{first}", f"toy_agent@{last}", "explorer"]
    assert set(made["players"]) == set(names)
    games = [made["players"][name]["games"] for name in names]
    turns = [game % 5 for game in range(made["games"])]
    assert games == [*map(turns.count, range(3)), turns.count(3) + turns.count(4)]
    assert made["games"] >= 5


def test_a_policy_that_is_not_there_lists_those_that_are(tmp_path, capsys, rl_run):
    steps = list(policy_checkpoints(rl_run))
    assert main(mixed(tmp_path, rl_run, 5)) == 2
    error = (
        f"no policy checkpoint with 5 environment steps; there are: {', '.join(map(str, steps))}"
    )
    assert error in capsys.readouterr().err


def test_the_same_policy_twice_is_refused(tmp_path, capsys, rl_run):
    last = max(policy_checkpoints(rl_run))
    assert main(mixed(tmp_path, rl_run, last)) == 2
    assert f"two players are called toy_agent@{last}; name each" in capsys.readouterr().err


def test_a_flag_that_cannot_work_ends_like_a_wrong_flag(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--directory", str(tmp_path), "--num_pairs", "0"])
    assert "--num_pairs must be at least 1, got 0" in capsys.readouterr().err


def test_a_folder_without_permission(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--directory", str(tmp_path / "file" / "pairs"), *SMALL]) == 2
    assert f"error: Not a directory: {tmp_path}" in capsys.readouterr().err

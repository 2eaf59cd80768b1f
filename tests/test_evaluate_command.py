"""``scripts.evaluate`` as its users call it: real games in processes of their own."""

from __future__ import annotations

import csv
import json

import pytest
from rl_command import short_games

from motif.games.nethack.adapter import NetHack
from motif.play.evaluation import play_in_step
from motif.play.rollout import play_to_end
from sample_factory_ext.environment import add_intrinsic_reward
from sample_factory_ext.player import CheckpointPlayer
from scripts.evaluate import main

pytestmark = pytest.mark.nle


def games_of(folder):
    with (folder / "games.csv").open() as file:
        return list(csv.DictReader(file))


def test_games_in_step_are_the_games_one_by_one(rl_run):
    game, player = NetHack(), CheckpointPlayer(rl_run)
    with short_games(25):
        envs = [add_intrinsic_reward(game.make("NetHackScore-v1"), player.config) for _ in range(3)]
        together = play_in_step(game, envs, [player, player.another(), player.another()], [5, 6, 7])
        alone = [play_to_end(game, envs[0], player, seed) for seed in (5, 6, 7)]
        for env in envs:
            env.close()
    assert [episode.info["end"] for episode in together] == ["step limit"] * 3
    assert together == alone


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "new"
    assert main(["random", "explorer", "--games", "3", "--output", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_the_same_command_goes_on(evaluated, capsys):
    path = evaluated / "games.csv"
    whole = path.read_text()
    assert [(row["player"], row["number"]) for row in games_of(evaluated)] == [
        (player, number) for player in ("explorer", "random") for number in "012"
    ]
    path.write_text(whole[: whole.rindex("\n", 0, -1) + 20])  # a last line that is cut short
    command = ["random", "explorer", "--games", "3", "--output", str(evaluated), "--workers", "1"]
    assert main(command) == 0
    assert path.read_text() == whole
    content = json.loads((evaluated / "evaluation.json").read_text())
    assert content["games_played_now"] == 1
    assert content["players"]["random"]["games"] == 3
    assert set(content["differences"]) == {"explorer"}
    assert "explorer minus random" in capsys.readouterr().out
    assert (evaluated / "evaluation.png").exists()


@pytest.mark.slow
def test_a_run_is_played_on_its_own_task_with_another_role(rl_run, tmp_path, capsys):
    command = [str(rl_run), "--games", "2", "--character", "val-dwa-law-fem"]
    assert main([*command, "--output", str(tmp_path)]) == 0
    assert f"{rl_run}: 2 games of NetHackScore-v1" in capsys.readouterr().out
    assert all(float(row["score"]) >= 0 for row in games_of(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "no RL run in nowhere"),
        (["random", "--task", "Chess"], "unknown --task 'Chess'"),
        (["random", "--character", "foo"], "no character 'foo'"),
        (["random", "--game", "chess"], "--game chess: there is nethack"),
    ],
)
def test_what_can_not_be_played_is_said_before_the_first_game(tmp_path, capsys, arguments, error):
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
    assert error in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [["random", "--games", "1"], ["random", "--seed", "-1"], ["random", "random"], []],
)
def test_settings_are_checked(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ('{"settings": {"task": "NetHackOracle-v1"}}', "holds games with"),
        ("{", "is damaged"),
        (None, "is there without evaluation.json"),
    ],
)
def test_a_folder_of_something_else_stays_as_it_is(tmp_path, capsys, settings, error):
    (tmp_path / "games.csv").write_text("player,number\n")
    if settings is not None:
        (tmp_path / "evaluation.json").write_text(settings)
    assert main(["random", "--output", str(tmp_path)]) == 2
    assert error in capsys.readouterr().err
    assert (tmp_path / "games.csv").read_text() == "player,number\n"

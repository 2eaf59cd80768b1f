"""Files remember their game and captions, and are refused where they don't fit, in one line."""

from __future__ import annotations

import json
import shutil

import gymnasium
import numpy as np
import pytest
from corridor import Corridor, CorridorGame
from rl_command import SERIAL, short_games, short_run

from motif.errors import CheckpointError, ConfigError, DatasetError
from motif.games.captioned import CaptionedGame
from motif.games.game import find_game, open_game
from motif.pairs_dataset import check_origin, origin, origin_flags
from motif.play.players import check_player
from motif.reward.checkpoint import load_reward_model
from scripts import (
    annotate_pairs_dataset,
    collect_pairs_dataset,
    evaluate,
    main,
    train_reward,
    visualize,
)

GAME = ["--game", "corridor:CorridorGame"]
CHANGE = ["--caption", "change"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("origin")


@pytest.fixture(scope="module")
def dataset(folder):
    where = ["--directory", str(folder / "pairs"), "--task", "Coin-v0", "--num_pairs", "120"]
    assert collect_pairs_dataset.main([*GAME, *CHANGE, *where]) == 0
    line = ["--directory", str(folder / "pairs"), "--annotator-type", "rules"]
    assert annotate_pairs_dataset.main([*GAME, *line, "--goal-key", "coins"]) == 0
    return folder / "pairs"


def reward_line(dataset, *flags):
    line = f"--dataset_dir {dataset} --annotator rules_msg_coins --train_dir {dataset.parent} "
    line += "--experiment reward --encoder_msg_model lt_cnn_small --batch_size 32 --num_epochs 1"
    return [*line.split(), *flags]


@pytest.fixture(scope="module")
def reward(dataset):
    assert train_reward.main(reward_line(dataset, *GAME, *CHANGE)) == 0
    return dataset.parent / "reward"


@pytest.fixture(scope="module")
def agent(folder, reward):
    line = f"--root_env Coin-v0 --llm_reward 0.1 --reward_dir {reward} --train_for_env_steps 64"
    flags = [*SERIAL, *GAME, *CHANGE, *line.split(), "--encoder_custom", "nle_compact_encoder"]
    with short_games():
        assert main.main(short_run(folder, "agent", *flags)) == 0
    return folder / "agent"


def one_line(capsys):
    *_, error = capsys.readouterr().err.strip().split("\n")
    assert error.startswith("error: ")
    return error


def test_a_dataset_and_its_labels_say_what_they_are_of(dataset):
    of = {"game": GAME[1], "caption": "change"}
    assert origin(dataset) == of == origin_flags(dataset)
    labels = json.loads((dataset / "preference/rules_msg_coins.json").read_text())
    assert {name: labels[name] for name in of} == of
    assert b" -> " in np.load(dataset / "data/message.npy").tobytes()


def test_nothing_is_said_of_a_dataset_of_the_release(make_dataset):
    directory = make_dataset(4).directory
    assert origin(directory) == {} == origin_flags(directory)
    check_origin(directory, game="nethack")


def test_a_dataset_of_another_game(dataset, capsys):
    with pytest.raises(DatasetError, match="was collected with --game corridor:Corr"):
        check_origin(dataset, game="nethack")
    assert annotate_pairs_dataset.main(["--directory", str(dataset)]) == 2
    assert f"give {' '.join(GAME)}" in one_line(capsys)
    assert train_reward.main(reward_line(dataset)) == 2
    assert f"give {' '.join(GAME)}" in one_line(capsys)


def test_a_dataset_of_other_captions(dataset, capsys):
    assert train_reward.main(reward_line(dataset, *GAME)) == 2
    assert "was collected with --caption change, not message; give" in one_line(capsys)
    line = ["--directory", str(dataset), "--task", "Coin-v0", "--num_pairs", "120"]
    assert collect_pairs_dataset.main([*GAME, *line]) == 2
    assert "was collected with --caption change, not message" in one_line(capsys)


def test_labels_of_another_game(dataset, tmp_path, capsys):
    line = ["--directory", str(tmp_path / "pairs"), "--task", "Coin-v0", "--num_pairs", "120"]
    assert collect_pairs_dataset.main([*GAME, *line]) == 0
    shutil.copytree(dataset / "preference", tmp_path / "pairs" / "preference")
    capsys.readouterr()
    assert train_reward.main(reward_line(tmp_path / "pairs", *GAME)) == 2
    assert "rules_msg_coins.npy labels another dataset" in one_line(capsys)


def test_a_reward_model_of_another_game_or_of_other_captions(reward, tmp_path, capsys):
    assert load_reward_model(reward).config["caption"] == "change"
    line = f"--llm_reward 0.1 --reward_dir {reward} --encoder_custom nle_compact_encoder".split()
    assert main.main(short_run(tmp_path, "nethack", *line)) == 2
    assert f"was made with {' '.join(GAME)}, not nethack; give" in one_line(capsys)
    assert main.main(short_run(tmp_path, "other", *GAME, "--root_env", "Coin-v0", *line)) == 2
    assert "was made with --caption change, not message; give" in one_line(capsys)
    assert not list(tmp_path.glob("*/config.json"))


def test_a_reward_model_without_a_word_is_nethacks(reward_folder):
    expected = {"game": "crafter"}
    with pytest.raises(CheckpointError, match="with --game nethack, not crafter"):
        load_reward_model(reward_folder, expected=expected)


def test_a_policy_of_another_game_or_of_other_captions(agent, tmp_path, capsys):
    line = ["--directory", str(tmp_path / "pairs"), "--num_pairs", "20", "--task", "Coin-v0"]
    line += ["--policy", "checkpoint", "--checkpoint", str(agent)]
    assert collect_pairs_dataset.main([*GAME, *line]) == 2
    assert "was trained with --caption change, not message; give" in one_line(capsys)
    assert collect_pairs_dataset.main([*GAME, *CHANGE, *line]) == 0
    capsys.readouterr()
    play = [str(agent), "--games", "2", "--output", str(tmp_path / "games"), "--workers", "1"]
    assert evaluate.main([*play, "--task", "NetHackScore-v1"]) == 2
    assert f"was trained with {' '.join(GAME)}, not nethack; give" in one_line(capsys)


def test_a_run_goes_on_with_its_game_and_captions_alone(agent, capsys):
    line = short_run(agent.parent, agent.name, "--caption", "history:2")
    assert main.main(line) == 2
    assert "was made with --caption change, not history:2" in one_line(capsys)
    line = short_run(agent.parent, agent.name, "--caption", "history:2", "--llm_reward", "0.0")
    assert main.main(line) == 2
    assert "was trained with --caption change, not history:2; its checkpoint" in one_line(capsys)


def test_a_policy_is_watched_as_it_was_trained(agent, capsys):
    line = ["--train_dir", str(agent.parent), "--experiment", agent.name, "--num_episodes", "1"]
    assert visualize.main([*line, *CHANGE, "--game", "minihack"]) == 2
    assert f"--game minihack: {agent} was trained with {GAME[1]}" in one_line(capsys)
    assert visualize.main([*line, *CHANGE, *GAME, "--render", "False", "--seed", "1"]) == 0
    assert "You wake up. -> You" in capsys.readouterr().out


def test_a_policy_is_evaluated_with_its_own_captions(agent, tmp_path, capsys):
    play = [str(agent), "random", "--games", "2", "--output", str(tmp_path), "--workers", "1"]
    assert evaluate.main([*GAME, *play]) == 0
    assert "ends:" not in capsys.readouterr().out  # a corridor does not say how


def test_a_scripted_player_is_of_any_game():
    check_player(object(), game="crafter", caption="change")


class Loud(CaptionedGame):
    name, tasks = "loud", CorridorGame.tasks
    shape, dtype = (300,), np.uint8

    def make(self, task, **options):
        env = Corridor(9)
        message = gymnasium.spaces.Box(0, 255, self.shape, self.dtype)
        env.observation_space = gymnasium.spaces.Dict(message=message)
        return env


@pytest.mark.parametrize("shape, dtype", [((300,), np.uint8), ((256,), np.int64)])
def test_a_message_of_another_size(shape, dtype):
    game = Loud()
    game.shape, game.dtype = shape, dtype
    with pytest.raises(ConfigError, match="--game loud: observations need a message of 256 bytes"):
        open_game(game, "Coin-v0")


def test_observations_without_a_message():
    game = find_game(GAME[1])
    env = Corridor(9)
    env.observation_space = gymnasium.spaces.Discrete(2)
    game.make = lambda task: env
    with pytest.raises(ConfigError, match=r"but this is None; motif\.messages\.encode cuts"):
        open_game(game, "Coin-v0")

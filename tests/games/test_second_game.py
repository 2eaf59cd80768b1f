"""A game that the toolkit has never seen goes through all stages, by one file of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rl_command import SERIAL, read_episodes, short_games, short_run

from motif.collect.sources import open_task
from motif.errors import ConfigError
from motif.games.game import check_task, find_game
from motif.pairs_dataset import PairsDataset, arrays_present
from motif.preference.label_set import load_preferences
from motif.reward.checkpoint import load_reward_model
from motif.reward.held_out import EvaluationConfig
from scripts import (
    annotate_pairs_dataset,
    collect_pairs_dataset,
    evaluate_reward,
    main,
    train_reward,
    visualize,
)

GAME = ["--game", "corridor:CorridorGame"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("corridor")


@pytest.fixture(scope="module")
def dataset(folder):
    where = ["--directory", str(folder / "pairs")]
    how = ["--task", "Coin-v0", "--num_pairs", "300", "--max_episode_steps", "60", "--seed", "3"]
    assert collect_pairs_dataset.main([*GAME, *where, *how]) == 0
    rules = ["--annotator-type", "rules", "--goal-key", "coins"]
    assert annotate_pairs_dataset.main([*GAME, *where, *rules]) == 0
    return folder / "pairs"


@pytest.fixture(scope="module")
def reward(folder, dataset):
    line = f"--dataset_dir {dataset} --annotator rules_msg_coins --train_dir {folder} "
    line += "--experiment reward --reward_lr 1e-3 --batch_size 32 --num_epochs 12 --seed 1 "
    assert train_reward.main([*GAME, *line.split(), "--encoder_msg_model", "lt_cnn_small"]) == 0
    return folder / "reward"


@pytest.fixture(scope="module")
def agent(folder, reward):
    line = f"--root_env Coin-v0 --llm_reward 0.1 --reward_dir {reward} --eps_threshold_quantile 0.5"
    line += " --encoder_custom nle_compact_encoder --train_for_env_steps 2000"
    with short_games():
        assert main.main(short_run(folder, "agent", *SERIAL, *GAME, *line.split())) == 0
    return folder / "agent"


def test_it_is_collected_from_and_labelled_by_its_own_rules(dataset):
    pairs = PairsDataset(dataset, arrays_present(dataset))
    assert set(pairs.arrays) == {
        *("message", "rewards", "score", "turns", "experience_level", "character")
    }
    labels = load_preferences(pairs, "rules_msg_coins")
    coin = np.array([[b"coin" in bytes(side) for side in pair] for pair in pairs.messages[:, :, 0]])
    bump = np.array([[b"bump" in bytes(side) for side in pair] for pair in pairs.messages[:, :, 0]])
    value = 5.0 * coin - bump
    assert (
        labels.tolist()
        == np.where(value[:, 0] == value[:, 1], 2, (value[:, 1] > value[:, 0]).astype(int)).tolist()
    )
    assert json.loads((dataset / "collection.json").read_text())["settings"]["game"] == GAME[1]


def test_a_game_has_its_own_limit_or_the_one_that_is_asked_for(dataset, tmp_path, capsys):
    longest = {str(dataset): 60, str(tmp_path / "own"): 50}
    how = ["--task", "Coin-v0", "--num_pairs", "300", "--seed", "3", "--directory"]
    assert collect_pairs_dataset.main([*GAME, *how, str(tmp_path / "own")]) == 0
    for folder, limit in longest.items():
        turns = np.load(Path(folder) / "info" / "turns.npy")
        assert turns.max() == limit  # with the reset, without the step that ends a game
    env = open_task(find_game(GAME[1]), "Coin-v0", None)
    env.unwrapped.limit = 10_000
    env.reset(seed=1)
    ended = [any(env.step(0)[2:4]) for _ in range(5000)]
    assert ended.index(True) == 4999
    capsys.readouterr()
    assert collect_pairs_dataset.main([*GAME, *how, str(tmp_path / "no"), "--seq_len", "51"]) == 2
    assert "none of the first 100 games has --seq_len 51 steps" in capsys.readouterr().err
    assert not (tmp_path / "no" / ".collecting").exists()


def test_its_reward_is_learnt(reward):
    loaded = load_reward_model(reward)
    texts = [bytes(message).rstrip(b"\0") for message in loaded.train_messages]
    assert texts[int(np.argmin(loaded.train_rewards))] == b"You bump into the wall."


def test_its_reward_is_compared_with_its_own_rules(dataset, reward):
    figures = evaluate_reward.evaluate_reward(EvaluationConfig(str(reward), str(dataset)))
    assert figures["spearman"] > 0


def test_labels_of_a_rules_file_are_not_compared_with_the_games_rules(dataset, reward, tmp_path):
    rules = tmp_path / "mine.yaml"
    rules.write_text("goals: [walls]\nrules: [{pattern: wall, values: {walls: 1}}]\n")
    line = f"--directory {dataset} --annotator-type rules --goal-key walls --rules-file {rules}"
    assert annotate_pairs_dataset.main([*GAME, *line.split()]) == 0
    config = EvaluationConfig(str(reward), str(dataset), "rules_msg_walls")
    assert evaluate_reward.evaluate_reward(config)["spearman"] is None


def test_an_agent_is_trained_and_its_games_are_logged(agent):
    episodes = read_episodes(agent)
    assert set(episodes[0]) == {
        *("env_steps", "return", "length", "extrinsic_return", "intrinsic_return", "place")
    }
    assert {episode["return"] for episode in episodes} <= {0.0, 1.0}
    assert all((episode["return"] == 1) == (episode["place"] == 9) for episode in episodes)


def test_counts_alone_need_no_reward_model(folder):
    line = "--root_env Coin-v0 --llm_reward 0.0 --extrinsic_reward 0.0 --bonus counts "
    line += "--bonus_reward 0.5 --encoder_custom nle_torchbeast_encoder --train_for_env_steps 500"
    with short_games():
        assert main.main(short_run(folder, "counts", *SERIAL, *GAME, *line.split())) == 0
    episodes = read_episodes(folder / "counts")
    assert {episode["extrinsic_return"] for episode in episodes} == {0.0}
    # eleven messages can be paid, each at most 1 + 1/8 + 1/27 + … times
    assert all(0.5 <= episode["intrinsic_return"] <= 0.5 * 11 * 1.21 for episode in episodes)


def test_a_trained_bonus_reads_what_there_is(folder, capsys):
    line = "--root_env Coin-v0 --llm_reward 0.0 --extrinsic_reward 0.0 --bonus noveld "
    line += "--bonus_reward 0.5 --encoder_custom nle_torchbeast_encoder --train_for_env_steps 128 "
    line += "--noveld_visits"
    with short_games():
        assert main.main(short_run(folder, "new", *SERIAL, *GAME, *line.split(), "message")) == 0
    assert read_episodes(folder / "new")[-1]["bonus_mean"] > 0
    assert main.main(short_run(folder, "newer", *GAME, *line.split(), "position")) == 2
    error = capsys.readouterr().err
    assert "--noveld_visits position reads the status, which corridor has not; give" in error
    assert not (folder / "newer").exists()


def test_it_can_be_watched_without_a_screen(agent, capsys, tmp_path):
    stats = tmp_path / "stats.json"
    line = f"--train_dir {agent.parent} --experiment {agent.name} --num_episodes 2 --stats {stats}"
    assert visualize.main([*line.split(), "--seed", "5", "--record", str(tmp_path)]) == 0
    assert "You wake up." in capsys.readouterr().out
    episodes = json.loads(stats.read_text())["episodes"]
    assert [episode["success"] for episode in episodes] == [
        episode["place"] == 9 for episode in episodes
    ]
    assert (tmp_path / "episode_001.html").is_file()


def test_a_gif_needs_a_screen(agent, capsys, tmp_path):
    line = f"--train_dir {agent.parent} --experiment {agent.name} --gif {tmp_path / 'game.gif'}"
    assert visualize.main(line.split()) == 2
    assert "--gif: corridor has no screen" in capsys.readouterr().err


def test_the_papers_policy_reads_a_screen_that_it_lacks(folder, capsys):
    line = [*GAME, "--root_env", "Coin-v0", "--llm_reward", "0.0"]
    assert main.main(short_run(folder, "other", *SERIAL, *line)) == 2
    error = capsys.readouterr().err
    assert "nle_rgbcrop_encoder reads blstats and cells, which corridor has not" in error
    assert "give --encoder_custom nle_compact_encoder" in error


@pytest.mark.parametrize(
    "name, message",
    [
        (
            "chess",
            "--game chess: there is nethack, minihack, crafter, babyai; your own is named",
        ),
        ("nowhere:Chess", "--game nowhere:Chess can't be imported: No module named 'nowhere'"),
        ("corridor:Chess", "--game corridor:Chess can't be imported: .* no attribute 'Chess'"),
        ("corridor:Corridor", "--game corridor:Corridor: "),
        ("corridor:TaskInfo", "--game corridor:TaskInfo lacks name, tasks, "),
    ],
)
def test_a_game_that_is_none(name, message):
    with pytest.raises(ConfigError, match=message):
        find_game(name)


def test_a_task_that_it_lacks():
    with pytest.raises(ConfigError, match="unknown --task 'Gold-v0'; there are: Coin-v0"):
        check_task(find_game(GAME[1]), "Gold-v0", "--task")


def test_the_seeds_decide_its_games():
    game = find_game(GAME[1])
    env = game.make("Coin-v0")
    starts = []
    for seeds in ((1, 2), (1, 2), (3, 9), (5, 5)):
        game.seed(env, *seeds)
        starts.append([env.reset()[1]["place"] for _ in range(5)])
    assert starts[0] == starts[1] != starts[2]

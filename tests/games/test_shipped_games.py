"""MiniHack, Crafter and BabyAI: docs/games.md's commands as they stand, on fewer steps."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from rl_command import SERIAL, read_episodes, short_games, short_run

from motif.annotate.prompt import load_prompt
from motif.annotate.rating_prompt import load_rating_prompt
from motif.annotate.rules import RulesAnnotator
from motif.errors import MissingPackageError
from motif.games.game import find_game, open_game
from motif.intrinsic.wrapper import IntrinsicReward
from motif.messages import decode
from motif.pairs_dataset import PairsDataset
from motif.play.players import RandomPlayer
from motif.play.rollout import play_to_end
from motif.play.watchers import episode_row
from motif.preference.label_set import load_preferences
from motif.reward.checkpoint import load_reward_model
from scripts import (
    annotate_pairs_dataset,
    collect_pairs_dataset,
    main,
    report,
    train_reward,
    visualize,
)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "games.md").read_text()
EXTRAS = {"minihack": "minihack", "crafter": "crafter", "babyai": "minigrid"}
TASKS = {
    "minihack": "MiniHack-KeyRoom-S5-v0",
    "crafter": "CrafterReward-v1",
    "babyai": "BabyAI-GoToLocal-v0",
}
SOLVED = ("success", 1.0, True)
TITLES = {"minihack": "MiniHack", "crafter": "Crafter", "babyai": "BabyAI"}


@pytest.fixture(params=EXTRAS)
def name(request):
    if request.param == "minihack":
        pytest.importorskip("pkg_resources")
    pytest.importorskip(EXTRAS[request.param])
    return request.param


def commands(name):
    section = PAGE.split(f"## {TITLES[name]}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    return [shlex.split(line)[3:] for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.slow
def test_all_stages_as_documented(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    collect, annotate, reward, agent, watch = commands(name)
    assert collect_pairs_dataset.main([*collect, "--num_pairs", "300", "--seed", "1"]) == 0
    assert annotate_pairs_dataset.main(annotate) == 0
    small = ["--encoder_msg_model", "lt_cnn_small", "--batch_size", "64", "--num_epochs", "8"]
    assert train_reward.main([*reward, *small]) == 0
    experiment = agent[agent.index("--experiment") + 1]
    where = ["--train_dir", "train_dir/rl_saving_dir", "--train_for_env_steps", "2000"]
    with short_games():
        line = short_run(Path(), experiment, *SERIAL, *agent, *where)
        assert main.main(line) == 0

    pairs = PairsDataset(collect[collect.index("--directory") + 1])
    labels = load_preferences(pairs, "rules_msg_defaultgoal")
    assert {0, 1, 2} == set(labels.tolist())
    loaded = load_reward_model(f"train_dir/reward_saving_dir/{experiment}")
    assert loaded.config["game"] == name
    rules = RulesAnnotator("defaultgoal", find_game(name).rules)
    worth = rules.values(loaded.train_messages)
    better = loaded.train_rewards[worth > 0].mean()
    assert better > loaded.train_rewards[worth < 0].mean()  # it has learnt what the rules say
    run = Path("train_dir/rl_saving_dir") / experiment
    assert json.loads((run / "config.json").read_text())["game"] == name
    assert any(episode["intrinsic_return"] > 0 for episode in read_episodes(run))

    film = tmp_path / "game.gif"
    line = [*watch, "--num_episodes", "1", "--seed", "3", "--gif", str(film), "--gif_steps", "20"]
    capsys.readouterr()
    assert visualize.main([*line, "--record", str(tmp_path / "games")]) == 0
    assert film.stat().st_size > 1000
    assert "most frequent messages" in capsys.readouterr().out
    assert report.main(["--run", str(run), "--output", str(tmp_path / "report.html")]) == 0


def test_what_there_is_of_a_game(name):
    game = find_game(name)
    assert TASKS[name] in game.tasks
    env = open_game(game, TASKS[name], max_steps=20)
    seen = []
    for seeds in ((1, 2), (1, 2), (3, 4)):
        game.seed(env, *seeds)
        rng = np.random.default_rng(0)
        observation, info = env.reset()
        seen.append([])
        ended, steps = False, 0
        while not ended:
            policy = game.policy_observation(observation)
            assert game.policy_space.contains(policy)
            chars, colors = game.screen(observation)
            assert chars.shape == colors.shape == (24, 80)
            assert (chars[:1].dtype, colors.max() < 32) == (np.uint8, True)
            seen[-1].append(
                (game.message(observation), {k: v.tobytes() for k, v in policy.items()})
            )
            action = int(rng.integers(env.action_space.n))
            observation, _, terminated, truncated, info = env.step(action)
            ended, steps = terminated or truncated, steps + 1
        assert steps <= 20
        assert set(game.info_columns) <= set(info)
    assert seen[0] == seen[1] != seen[2]
    env.close()


def test_a_minihack_game_may_be_solved_at_a_loss():
    pytest.importorskip("pkg_resources")
    pytest.importorskip("minihack")
    game, task = find_game("minihack"), "MiniHack-MazeWalk-15x15-v0"
    env, player = IntrinsicReward(open_game(game, task), None), RandomPlayer(8)
    rows = [episode_row(game, task, play_to_end(game, env, player, seed)) for seed in range(12)]
    env.close()
    outcomes = {(row["end"], row["solved"], row["success"], row["return"] > 0) for row in rows}
    assert {(*SOLVED, True), (*SOLVED, False), ("step limit", 0.0, False, False)} == outcomes


@pytest.mark.parametrize("name", EXTRAS)
def test_rules_and_prompts_need_no_package(name, monkeypatch):
    monkeypatch.setitem(sys.modules, EXTRAS[name], None)
    game = find_game(name)
    assert RulesAnnotator("defaultgoal", game.rules).rules
    assert load_prompt(game.prompts / "default.yaml", "defaultgoal").system
    assert load_rating_prompt(game.prompts / "rating.yaml", "defaultgoal").values


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_that_is_not_installed(name, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, EXTRAS[name], None)
    with pytest.raises(MissingPackageError, match=rf"pip install -e '\.\[rl,{name}\]'"):
        find_game(name).make(TASKS[name])
    line = f"--game {name} --task {TASKS[name]} --directory {tmp_path / 'pairs'} --num_pairs 9"
    assert collect_pairs_dataset.main(line.split()) == 2
    error = capsys.readouterr().err
    assert f"--game {name} needs {EXTRAS[name]}, which is not installed; run: pip" in error


def test_an_unknown_task_is_answered_with_close_ones(capsys, tmp_path):
    pytest.importorskip("minihack")
    line = f"--game minihack --task MiniHack-KeyRoom-S4-v0 --directory {tmp_path / 'pairs'}"
    assert collect_pairs_dataset.main(line.split()) == 2
    error = capsys.readouterr().err
    assert "unknown --task 'MiniHack-KeyRoom-S4-v0'; there are: " in error
    assert "MiniHack-KeyRoom-S5-v0" in error
    assert len(error) < 600


def test_crafters_map_and_achievements_are_the_packages():
    crafter = pytest.importorskip("crafter")
    from motif.games.crafter.adapter import ACHIEVEMENTS
    from motif.games.crafter.screen import NAMES

    assert tuple(crafter.constants.achievements) == ACHIEVEMENTS
    living = ("player", "cow", "zombie", "skeleton", "arrow", "plant")
    assert ("nothing", *crafter.constants.materials, *living) == NAMES


def test_crafter_in_words():
    pytest.importorskip("crafter")
    from motif.games.crafter.environment import tell_step

    before = {"inventory": {"wood": 1, "health": 9}, "achievements": {"collect_wood": 1}}
    now = {
        "inventory": {"wood": 2, "health": 7},
        "achievements": {"collect_wood": 2, "wake_up": 1, "eat_cow": 0},
    }
    assert tell_step(before, now, "tree", ["cow", "tree"]) == (
        "You collect wood. You wake up for the first time. Your wood: 1 to 2. "
        "Your health: 9 to 7. You face tree. Near: cow, tree."
    )
    assert tell_step(now, now, "grass", []) == ""


def test_one_achievement_is_a_task_of_its_own():
    pytest.importorskip("crafter")
    game = find_game("crafter")
    env = open_game(game, "Crafter-collect_sapling-v0", max_steps=400)
    game.seed(env, 5, 5)
    env.reset()
    rng, total, ended = np.random.default_rng(0), 0.0, False
    while not ended:
        action = 5 if rng.random() < 0.5 else int(rng.integers(1, 5))  # do, or move
        observation, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + reward, terminated or truncated
    assert total == reward == 1.0
    assert terminated and not truncated
    assert "You collect sapling for the first time." in decode(game.message(observation))


def test_babyai_in_words():
    from motif.games.babyai.view import draw_view, tell_view

    image = np.zeros((7, 7, 3), np.uint8)
    image[3, 5] = 6, 0, 0  # a red ball right ahead of the agent, which is at (3, 6)
    image[5, 4] = 4, 5, 2  # a locked grey door, two ahead and two to the right
    image[2, 6] = 5, 2, 0  # a blue key beside it
    image[0, 0] = 2, 5, 0  # a wall
    image[3, 6] = 7, 4, 0  # carried: a yellow box
    assert tell_view(image, "go to the red ball") == (
        "Mission: go to the red ball. You carry a yellow box. You see: blue key 1 left, "
        "red ball right ahead, locked grey door 2 ahead 2 right."
    )
    chars, colors = draw_view(image)
    assert [bytes(row).decode() for row in chars] == [
        *("#      ", "       ", "       ", "       ", "     X ", "   o   ", "  kx   ")
    ]
    assert colors[5, 3] == 9
    image[3, 6] = 1, 0, 0
    assert draw_view(image)[0][6, 3] == ord("@")


def test_shipped_games_are_packages_of_their_own():
    for extra in EXTRAS:
        importlib.import_module(f"motif.games.{extra}.adapter")

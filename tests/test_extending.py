"""The parts of docs/extending.md: files and commands as they stand, in a folder of their own."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rl_command import SERIAL, read_episodes, short_games, short_run

from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import load_preferences
from scripts import annotate_pairs_dataset, collect_pairs_dataset, main, train_reward

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text()
SCRIPTS = {
    "scripts.annotate_pairs_dataset": annotate_pairs_dataset,
    "scripts.collect_pairs_dataset": collect_pairs_dataset,
    "scripts.main": main,
    "scripts.train_reward": train_reward,
}


@pytest.fixture
def part(tmp_path, monkeypatch):
    """``part(title)`` writes the section's file into an empty folder; its commands are returned."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(title):
        section = PAGE.split(f"## {title}")[1].split("\n## ")[0]
        blocks = re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)
        for kind, text in blocks:
            if kind != "bash":
                path = tmp_path / re.match(r"# (\S+)\n", text)[1]
                path.write_text(text)
                monkeypatch.setitem(sys.modules, path.stem, sys)  # forgotten after the test, and
                del sys.modules[path.stem]  # before it: other tests have modules of such names
        lines = "".join(text for kind, text in blocks if kind == "bash").replace("\\\n", " ")
        return [shlex.split(line)[2:] for line in lines.splitlines()]

    return write


def run(words, *flags):
    module, *given = words
    return SCRIPTS[module].main([*given, *flags])


def test_an_annotator(part, make_dataset):
    (command,) = part("An annotator")
    pairs = make_dataset(40)
    assert run(command) == 0
    labels = load_preferences(pairs, "longer")
    letters = np.count_nonzero(pairs.messages, axis=(2, 3))
    assert (labels[letters[:, 0] > letters[:, 1]] == 0).all()
    assert (labels[letters[:, 0] < letters[:, 1]] == 1).all()
    assert (labels[letters[:, 0] == letters[:, 1]] == 2).all()
    assert len(set(labels.tolist())) > 1


def test_a_prompt(part, make_dataset, capsys):
    (command,) = part("A prompt")
    make_dataset(4)
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert "The player wants to live long. Which of them" in shown
    assert "You judge how carefully NetHack is played." in shown


@pytest.mark.nle
def test_a_task(part, tmp_path):
    part("A task")
    row = (tmp_path / "tasks.py").read_text().removeprefix("# tasks.py\n")
    shutil.copytree(ROOT / "motif", tmp_path / "motif", ignore=shutil.ignore_patterns("*.pyc"))
    table = tmp_path / "motif/games/nethack/tasks.py"
    assert table.read_text().count("TASKS = {\n") == 1
    table.write_text(table.read_text().replace("TASKS = {\n", row))
    code = "import gymnasium, motif.games.nethack; e = gymnasium.make('NetHackStaircaseLvl5-v1'); "
    code += "e.reset(); print(e.unwrapped.task.success.level, motif.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path), "PYGAME_HIDE_SUPPORT_PROMPT": "1"},
    )
    assert done.stdout.split() == ["5", str(tmp_path / "motif/__init__.py")], done.stderr


@pytest.mark.nle
def test_a_reward_term(part, tmp_path):
    ((module, *flags),) = part("A reward term")
    assert module == "scripts.main"
    line = short_run(tmp_path, "long_words", *SERIAL, *flags, "--train_for_env_steps", "200")
    with short_games():
        assert main.main([*line, "--train_dir", str(tmp_path)]) == 0
    paid = [episode["intrinsic_return"] for episode in read_episodes(tmp_path / "long_words")]
    assert paid
    assert all(value == pytest.approx(round(value * 10) / 10) for value in paid)


def test_a_game(part, tmp_path):
    collect, annotate, reward, (_, *flags) = part("A game")
    assert len((tmp_path / "corridor.py").read_text().splitlines()) <= 42
    assert run(collect) == 0
    assert run(annotate) == 0
    small = ("--encoder_msg_model", "lt_cnn_small", "--batch_size", "64", "--num_epochs", "6")
    assert run(reward, *small) == 0
    texts = {
        bytes(message).rstrip(b"\0") for message in PairsDataset("coins").messages.reshape(-1, 256)
    }
    assert {b"You wake up.", *(b"You are in cell %d." % cell for cell in range(9))} == texts
    line = short_run(tmp_path, "corridor", *SERIAL, *flags, "--train_for_env_steps", "500")
    with short_games():
        assert main.main([*line, "--train_dir", str(tmp_path)]) == 0
    episodes = read_episodes(tmp_path / "corridor")
    assert {episode["return"] for episode in episodes} <= {0.0, 1.0}
    assert any(episode["intrinsic_return"] > 0 for episode in episodes)

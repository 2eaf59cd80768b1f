"""Stage 4 through its command line."""

from __future__ import annotations

import bz2
import json
import re
import shutil
from unittest import mock

import pytest
from PIL import Image
from replay_page import content_of
from rl_command import short_games

from motif.messages import decode
from motif.reward.checkpoint import load_reward_model
from scripts import visualize

pytestmark = pytest.mark.nle
pytest.importorskip("sample_factory")


def watch(run, *flags):
    where = ["--train_dir", str(run.parent), "--experiment", run.name]
    with short_games(15):
        return visualize.main([*where, "--num_episodes", "2", "--device", "cpu", *flags])


def test_without_drawing_it_prints_what_each_episode_was(rl_run, reward_folder, capsys):
    assert watch(rl_run, "--render", "False", "--seed", "3") == 0
    out = capsys.readouterr().out
    assert "\033" not in out
    assert re.search(r"toy_agent: policy of \d+ steps, NetHackScore-v1", out)
    assert re.findall(r"episode (\d): 15 steps, return -?\d+\.\d\d, score \d+", out) == ["1", "2"]
    table = [re.fullmatch(r" *(\d+) +([+-]\d+\.\d{3})  (.+)", line) for line in out.splitlines()]
    rows = [match.groups() for match in table if match]
    assert sum(int(count) for count, *_ in rows) == 2 * 16  # the reset's message counts
    loaded = load_reward_model(reward_folder)
    known = dict(zip(map(decode, loaded.train_messages), loaded.train_rewards))
    worth = [float(value) for _, value, text in rows if text == "(no message)"]
    assert worth == pytest.approx([known[""]] * len(worth), abs=1e-3)
    assert worth


def test_a_seed_plays_the_same_games_again(rl_run, capsys):
    outputs = []
    for seed in ("3", "3", "4"):
        assert watch(rl_run, "--render", "False", "--seed", seed) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


def test_drawing_without_a_terminal_waits_for_no_key(rl_run, capsys):
    with mock.patch("builtins.input", side_effect=AssertionError("a key was waited for")):
        assert watch(rl_run, "--sleep", "0.001") == 0
    out = capsys.readouterr().out
    assert out.count("intrinsic (normalised)") == 2 * 15
    assert re.search(r"step 3  reward [+-]\d+\.\d\d  return -?\d+\.\d\d  intrinsic", out)
    assert out.count("\033[?25l") == out.count("\033[?25h") == 2  # the cursor comes back
    assert "Dlvl:1" in re.sub(r"\033\[[0-9;]*m", "", out)


def test_the_cursor_comes_back_when_interrupted(rl_run, capsys):
    with mock.patch("time.sleep", side_effect=KeyboardInterrupt):
        assert watch(rl_run) == 130
    captured = capsys.readouterr()
    assert captured.out.endswith("\033[?25h")
    assert "interrupted" in captured.err


def test_another_reward_model_can_be_named(rl_run, reward_folder, tmp_path, capsys):
    shutil.copytree(rl_run, tmp_path / "run")
    config = tmp_path / "run/config.json"
    config.write_text(config.read_text().replace(str(reward_folder), "/nowhere"))
    assert watch(tmp_path / "run", "--render", "False") == 2
    assert "or name another with --reward_dir" in capsys.readouterr().err
    assert watch(tmp_path / "run", "--render", "False", "--reward_dir", str(reward_folder)) == 0


def test_a_run_without_intrinsic_reward_is_shown_without(rl_run, tmp_path, capsys):
    shutil.copytree(rl_run, tmp_path / "run")
    config = tmp_path / "run/config.json"
    config.write_text(config.read_text().replace('"llm_reward": 0.1', '"llm_reward": 0.0'))
    assert watch(tmp_path / "run") == 0
    assert "intrinsic (normalised) none" in capsys.readouterr().out


def test_below_the_screen_stand_the_totals_and_the_message(rl_run, capsys):
    assert watch(rl_run, "--seed", "3") == 0
    plain = re.sub(r"\033(\[[0-9;?]*[a-zA-Z])", "", capsys.readouterr().out)
    pattern = r"so far: extrinsic (\S+)  intrinsic (\S+)  \(this step ([+-]\S+)\)\n(.*)\n"
    steps = re.findall(pattern, plain)
    assert len(steps) == 2 * 15
    sums = paid = 0.0
    for number, (_, total, this, message) in enumerate(steps[:15]):
        paid += float(this)
        assert float(total) == pytest.approx(paid, abs=1e-3 + 1e-4 * number)
        sums += bool(message.strip())
    assert paid != 0.0
    assert sums == 15  # "(no message)" where there is none


def test_recordings_films_and_statistics(rl_run, tmp_path, capsys):
    record, gif, stats = tmp_path / "rec", tmp_path / "game.gif", tmp_path / "stats.json"
    flags = ["--record", str(record), "--gif", str(gif), "--gif_steps", "7", "--stats", str(stats)]
    assert watch(rl_run, "--render", "False", "--seed", "3", *flags) == 0
    out = capsys.readouterr().out
    assert f"replay: {record}/episode_002.html" in out and f"film: {gif}" in out
    assert re.search(r"mean of 2 episodes: return -?\d", out)
    with Image.open(gif) as film:
        assert film.n_frames <= 7 and film.size == (640, 416)

    pages = sorted(record.glob("episode_*.html"))
    content = content_of(pages[0])
    assert len(pages) == 2 and len(content["steps"]) == 1 + 15
    recordings = sorted(record.glob("*.ttyrec*.bz2"))
    assert len(recordings) == 2
    assert b"Agent" in bz2.decompress(recordings[0].read_bytes())

    written = json.loads(stats.read_text())
    first = written["episodes"][0]
    assert (written["games"], written["task"], written["success"]) == (2, "NetHackScore-v1", None)
    assert first["length"] == 15 and 1 <= first["turns"] <= 16
    bumps = sum("It's a wall." in content["messages"][step[0]] for step in content["steps"])
    assert first["bumps into things"] >= bumps
    rewards = [step[2] for step in content["steps"]]
    assert first["return"] == pytest.approx(sum(rewards), abs=1e-3)
    paid = [step[3] for step in content["steps"]]
    assert first["intrinsic_return"] == pytest.approx(sum(paid), abs=1e-4)
    mean = (first["return"] + written["episodes"][1]["return"]) / 2
    assert written["means"]["return"]["mean"] == pytest.approx(mean)


@pytest.mark.parametrize("flag", ["--task", "--root_env"])
def test_on_another_task(rl_run, tmp_path, capsys, flag):
    stats = tmp_path / "stats.json"
    flags = [flag, "NetHackStaircase-v1", "--stats", str(stats), "--render", "False"]
    assert watch(rl_run, *flags) == 0
    out = capsys.readouterr().out
    assert "policy of" in out and "NetHackStaircase-v1" in out
    success = json.loads(stats.read_text())["success"]
    assert success == {"wins": 0, "rate": 0.0, "low": 0.0, "high": pytest.approx(0.6576, abs=1e-3)}
    assert "success 0.0% (0.0% to 65.8%)" in out


def unknown_experiment(run):
    shutil.rmtree(run)


def no_checkpoint(run):
    shutil.rmtree(run / "checkpoint_p0")


def damaged_checkpoint(run):
    last = max(run.glob("checkpoint_p0/*.pth"))
    last.write_bytes(last.read_bytes()[:1000])


def damaged_config(run):
    (run / "config.json").write_text("{")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (unknown_experiment, r"no RL run in .*/run \(config\.json is missing\); train one: python"),
        (no_checkpoint, r"no policy checkpoint in .*python -m scripts\.main"),
        (damaged_checkpoint, r"checkpoint_\d+_\d+\.pth is damaged.*delete it"),
        (damaged_config, r"config\.json cannot be read"),
    ],
)
def test_what_cannot_be_watched_is_named(rl_run, tmp_path, capsys, spoil, message):
    shutil.copytree(rl_run, tmp_path / "run")
    spoil(tmp_path / "run")
    assert watch(tmp_path / "run", "--render", "False") == 2
    error = capsys.readouterr().err
    assert re.search(f"error: .*{message}", error)
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--num_episodes 0", "--num_episodes 0: 1 to 100"),
        ("--num_episodes 101", "--num_episodes 101: 1 to 100"),
        ("--sleep -1", r"--sleep -1.0: seconds, 0 or more"),
        ("--gif_steps 0", "--gif_steps 0: 1 or more"),
        ("--render maybe", "expected True or False, got 'maybe'"),
    ],
)
def test_bad_flags(rl_run, flags, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        watch(rl_run, *flags.split())
    assert stopped.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_task_that_is_not_there(rl_run, capsys):
    assert watch(rl_run, "--task", "NetHack-v9") == 2
    error = "unknown --task 'NetHack-v9'; there are: NetHackScore-v1"
    assert error in capsys.readouterr().err


def test_a_gpu_that_is_not_there(rl_run, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert watch(rl_run, "--device", "gpu") == 2
    assert "error: --device gpu: torch sees no GPU here" in capsys.readouterr().err


# Sample Factory's flags for evaluation


def test_sample_factorys_flags_stand_for_ours(rl_run, tmp_path, capsys):
    run = shutil.copytree(rl_run, tmp_path / "run")
    flags = "--no_render --save_video --video_name film.mp4 --video_frames 4 --fps 1000 "
    flags += "--max_num_episodes 3 --load_checkpoint_kind latest --policy_index 0 "
    flags += "--eval_deterministic False --train_script x --enjoy_script y"
    assert watch(run, *flags.split()) == 0
    out = capsys.readouterr().out
    assert "\033" not in out
    assert re.findall(r"episode (\d):", out) == ["1", "2", "3"]
    assert Image.open(run / "film.gif").n_frames == 4


@pytest.mark.parametrize("frames, episodes", [(1, 1), (15, 1), (16, 2), (10**9, 2)])
def test_no_episode_begins_after_so_many_steps(rl_run, capsys, frames, episodes):
    assert watch(rl_run, "--no_render", "--max_num_frames", str(frames)) == 0  # of 15 steps each
    assert len(re.findall(r"episode \d:", capsys.readouterr().out)) == episodes


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--load_checkpoint_kind best", "--load_checkpoint_kind best: visualize plays the last"),
        ("--policy_index 1", "--policy_index 1: visualize plays the last checkpoint of the run's"),
        ("--eval_deterministic True", "--eval_deterministic True: actions are sampled, as in"),
        ("--eval_env_frameskip 4", "--eval_env_frameskip 4: a step of the game is a step of the"),
        ("--push_to_hub", "--push_to_hub True: nothing is uploaded; scripts.export_model makes"),
        ("--max_num_episodes 1000", "--num_episodes 1000: 1 to 100"),
    ],
)
def test_evaluation_that_cannot_be_had_is_explained(rl_run, capsys, flags, message):
    try:
        status = watch(rl_run, *flags.split())
    except SystemExit as stopped:  # as argparse ends
        status = stopped.code
    assert status == 2
    assert f"error: {message}" in capsys.readouterr().err

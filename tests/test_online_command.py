"""Labels while an agent trains, by the command line: real games, real processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rl_command import SERIAL, read_episodes, short_games, short_run

from benchmarks import online_agreement
from motif.messages import decode
from motif.online.labels import Labels
from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import load_preferences
from motif.reward.checkpoint import load_reward_model
from scripts import main, report, train_reward, visualize

pytestmark = pytest.mark.nle
pytest.importorskip("sample_factory")
ROOT = Path(__file__).resolve().parent.parent
RULES = "--annotator-type rules --llm_reward 0.1 --encoder_custom nle_compact_encoder"
RULES += " --rnn_size 32 --eps_threshold_quantile 0"


def train(train_dir, experiment, flags, *, steps=100):
    """A serial run with games of ``steps`` steps, in this process but for the labeller's."""
    with short_games(steps):
        return main.main(short_run(train_dir, experiment, *SERIAL, *flags.split()))


@pytest.fixture(scope="module")
def online_run(tmp_path_factory):
    """6,000 steps of NetHack, judged by the rules while they were played; read it only.

    All but the first thousand are the same command's going on: on a fast machine, these end before
    the labeller's process has begun. Of the fifty games after them some eight are paid.
    """
    train_dir = tmp_path_factory.mktemp("online")
    for steps in (1000, 6000):
        flags = f"{RULES} --online retrieval --train_for_env_steps {steps}"
        assert train(train_dir, "agent", flags) == 0
    return train_dir / "agent"


@pytest.mark.slow
def test_a_run_is_paid_by_labels_that_were_made_while_it_played(online_run):
    loaded = load_reward_model(online_run / "online" / "reward")
    worth = {bytes(row): reward for row, reward in zip(loaded.train_messages, loaded.train_rewards)}
    assert set(worth.values()) == {0.0, 1.0}
    texts = [decode(row) for row in loaded.train_messages]
    assert len(texts) > 20 and "" in texts and worth[bytes(256)] == 0
    episodes = read_episodes(online_run)
    assert any(episode["intrinsic_return"] > 0 for episode in episodes)
    assert episodes[0]["intrinsic_return"] == 0  # there was no label yet


@pytest.mark.slow
def test_the_labels_are_a_dataset_at_the_end(online_run, tmp_path):
    dataset = PairsDataset(online_run / "online" / "dataset")
    labels = load_preferences(dataset, "rules_msg_defaultgoal")
    assert set(labels.tolist()) >= {0, 2}
    assert len(Labels(online_run / "online")) == len(labels)
    line = f"--dataset_dir {dataset.directory} --annotator rules_msg_defaultgoal --num_epochs 1"
    line += f" --train_dir {tmp_path} --encoder_msg_model lt_cnn_small --device cpu"
    assert train_reward.main(line.split()) == 0


@pytest.mark.slow
def test_the_same_command_goes_on_and_asks_nothing_twice(online_run, tmp_path, capfd):
    shutil.copytree(online_run, tmp_path / "agent")
    folder = tmp_path / "agent" / "online"
    before = Labels(folder)
    version = load_reward_model(folder / "reward").path.name
    flags = f"{RULES} --online retrieval --train_for_env_steps 7000"
    assert train(tmp_path, "agent", flags) == 0
    after = Labels(folder)
    assert after.pairs[: len(before)] == before.pairs
    assert len(after.asked) == len(after)  # all are different
    assert load_reward_model(folder / "reward").path.name >= version
    capfd.readouterr()
    other = flags.replace("retrieval", "ranking").replace("7000", "8000")
    assert train(tmp_path, "agent", other) == 2
    assert "was trained with --online retrieval, not ranking" in capfd.readouterr().err
    assert train(tmp_path, "agent", f"{other} --accept_changes True") == 2
    assert "holds labels for --online retrieval by another kind" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("flags", ["classification --extrinsic_reward 0.0", "ranking"])
def test_the_other_rewards_and_intrinsic_only(flags, tmp_path, capsys):
    line = f"{RULES} --train_for_env_steps 1200 --online {flags} --bonus counts --bonus_reward 0.01"
    assert train(tmp_path, "agent", line) == 0
    loaded = load_reward_model(tmp_path / "agent" / "online" / "reward")
    assert loaded.kind == flags.split()[0]
    if loaded.kind == "ranking":
        assert online_agreement.main([str(tmp_path / "agent")]) == 0
        ratios = json.loads(capsys.readouterr().out.splitlines()[-1])["ratios"]
        assert ratios["other_as_rules"] > 0.9 and 0 < ratios["steps_paid_alike"] <= 1
    if loaded.kind == "classification":
        assert {episode["extrinsic_return"] for episode in read_episodes(tmp_path / "agent")} == {0}


@pytest.mark.slow
def test_the_report_and_playback_know_the_last_version(online_run, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert report.main(["--run", str(online_run), "--output", str(page), "--device", "cpu"]) == 0
    text = page.read_text()
    assert "How the reward was learnt" in text and "What the commonest messages are worth" in text
    line = f"--train_dir {online_run.parent} --experiment {online_run.name} --num_episodes 1"
    line += " --render False --device cpu --seed 3"
    with short_games(60):
        assert visualize.main(line.split()) == 0
    assert "episode 1: 60 steps" in capsys.readouterr().out


# Bad input


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--online retrieval", "--online retrieval needs a judge: --model NAME"),
        ("--online guessing --model tiny", "--online guessing: there are retrieval, classif"),
        ("--online ranking --annotator-type score", "score judges whole games"),
        ("--online ranking --annotator-type mine", "--annotator-type mine: there is llama"),
        ("--online ranking --model tiny --backend batch", "batch answers in a later run"),
        ("--online ranking --annotator-type rules --online_labels 0", "at least 1 is needed"),
        ("--online ranking --model tiny --restart_behavior overwrite", "afresh as --experiment"),
        ("--online_preset oni", "--online_preset oni is of --online retrieval"),
        ("--base-url http://localhost:1/v1", "--base_url http://localhost:1/v1 is of --online"),
        (
            "--online ranking --online_preset omni --model tiny",
            "--online_preset omni: there is oni",
        ),
        ("--online ranking --model tiny --tie-margin -1", "--tie_margin must be at least 0"),
    ],
)
def test_flags_that_do_not_go_together(flags, message, tmp_path, capsys):
    line = ["--train_dir", str(tmp_path), "--llm_reward", "0.1", *flags.split()]
    assert main.main(line) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and message in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_labels_that_nobody_is_paid_for(tmp_path, capsys):
    line = "--online retrieval --annotator-type rules --llm_reward 0.0 --experiment agent"
    assert main.main([*line.split(), "--train_dir", str(tmp_path)]) == 2
    assert "--online retrieval needs --llm_reward" in capsys.readouterr().err


def test_a_table_begins_with_no_reward_model(reward_folder, tmp_path, capsys):
    flags = f"{RULES} --online retrieval --reward_dir {reward_folder}"
    assert train(tmp_path, "agent", flags) == 2
    assert "retrieval is a table that begins empty" in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_that_is_down_as_the_run_begins(tmp_path, capfd):
    flags = "--online retrieval --llm_reward 0.1 --backend openai --model tiny"
    flags += " --base-url http://127.0.0.1:9/v1 --server-patience 1"
    assert train(tmp_path, "agent", flags) == 2
    captured = capfd.readouterr()
    (error,) = [line for line in captured.err.splitlines() if line.startswith("error:")]
    assert "http://127.0.0.1:9/v1 has not answered for" in error
    assert "Traceback" not in captured.err
    assert not (tmp_path / "agent" / "checkpoint_p0").exists()


@contextlib.contextmanager
def training(train_dir, flags):
    """A run of several processes, killed with all that it started if it is still there."""
    line = short_run(train_dir, "agent", *f"{RULES} {flags}".split())
    output = (train_dir / "output").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.main", *line],
        cwd=ROOT,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    started = []
    try:
        yield process, started, train_dir / "output"
    finally:
        if process.poll() is None:
            started += psutil.Process(process.pid).children(recursive=True)
        for one in (process, *started):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()
        output.close()


def wait_until(process, condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.2)


@pytest.mark.slow
def test_whoever_is_killed_the_run_ends_and_goes_on_with_its_labels(tmp_path, capfd):
    folder = tmp_path / "agent" / "online"
    flags = "--online retrieval --train_for_env_steps 100000000"
    with training(tmp_path, flags) as (process, started, output):
        wait_until(process, lambda: (folder / "reward" / "checkpoint_p0").is_dir())
        started += psutil.Process(process.pid).children(recursive=True)
        again = main.main(short_run(tmp_path, "agent", *f"{RULES} {flags}".split()))
        assert again == 2  # two runs in one folder
        assert "another run is training in" in capfd.readouterr().err
        spawned = [one for one in started if "spawn_main" in " ".join(one.cmdline())]
        labeller = min(spawned, key=lambda one: one.create_time())  # it begins before the others
        labeller.send_signal(signal.SIGKILL)
        assert process.wait(60) == 2
        _, alive = psutil.wait_procs(started, timeout=60)
        assert not alive
        said = output.read_text()
        assert re.search(r"error: a process of the run ended with status -9 \(labeller\)", said)
    labels = Labels(folder)
    assert len(labels)
    with training(tmp_path, flags) as (process, started, output):
        wait_until(process, lambda: len(Labels(folder)) > len(labels))
        started += psutil.Process(process.pid).children(recursive=True)
        process.kill()
        _, alive = psutil.wait_procs(started, timeout=60)
        assert not alive  # the labeller, too
    after = Labels(folder)
    assert after.pairs[: len(labels)] == labels.pairs
    assert len(after.asked) == len(after)

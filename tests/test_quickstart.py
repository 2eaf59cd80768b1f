"""The quickstart's own part: which commands run, what is skipped, how it ends."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from motif.errors import ConfigError
from motif.pipeline import Records, Stage, run_stage
from scripts import quickstart
from scripts.quickstart import QuickstartConfig, make_stages


def stage_of(code: str, makes: Path, name: str = "unpack") -> Stage:
    """A stage that runs ``code``."""
    makes.parent.mkdir(parents=True, exist_ok=True)
    module = makes.parent / f"stage_{name}.py"
    module.write_text(code)
    return Stage(name, ["python", "-m", f"stage_{name}", "--directory", str(makes)], makes)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working directory whose modules the stages' processes can run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_carry_all_settings(tmp_path):
    commands = {stage.name: shlex.join(stage.command) for stage in make_stages(tmp_path, False)}
    assert list(commands) == ["unpack", "annotate", "compare", "reward", "agent", "watch"]
    assert commands["unpack"] == (
        f"python -m scripts.unpack_dataset --directory {tmp_path} --zipped motif_dataset_zipped"
    )
    assert commands["annotate"].endswith("--annotator_type rules --goal_key defaultgoal")
    assert "--annotator Qwen2.5-Coder-1.5B-Instruct_msg_defaultgoal_rating" in commands["reward"]
    assert f"--reward_dir {tmp_path}/reward_saving_dir/standard_reward" in commands["agent"]
    assert "--num_workers 2" in commands["agent"]
    assert f"--train_dir {tmp_path}/rl_saving_dir --experiment standard_motif" in commands["watch"]


def test_small_adds_only_what_it_names(tmp_path):
    for full, small in zip(make_stages(tmp_path, False), make_stages(tmp_path, True)):
        added = quickstart.SMALL.get(full.name, "").split()
        assert small.command == [*full.command, *added]
    assert quickstart.SMALL.keys() <= quickstart.STAGES.keys()


def test_a_stage_that_is_done_is_not_run_again(folder, monkeypatch, capfd):
    stages = [
        stage_of("import pathlib, sys; pathlib.Path(sys.argv[2]).touch()", folder / name, name)
        for name in ("one", "two")
    ]
    monkeypatch.setattr(quickstart, "make_stages", lambda root, small: stages)
    monkeypatch.setattr(quickstart, "summarise", lambda root, stages: {"stub": 1})
    monkeypatch.setattr(quickstart, "write_report", lambda root, summary: None)
    monkeypatch.setattr(quickstart, "print_result", lambda root, summary: print("made"))
    command = ["--directory", str(folder / "run")]
    assert quickstart.main(command) == 0
    first = capfd.readouterr().out
    assert f"[1/2] one\n$ python -m stage_one --directory {folder / 'one'}\n" in first
    assert first.endswith("made\n")
    assert quickstart.main(command) == 0
    second = capfd.readouterr().out
    assert "[1/2] one: done before, in " in second
    assert "$" not in second
    (folder / "one").unlink()  # what it made is gone: it runs again
    assert quickstart.main(command) == 0
    assert "$ python -m stage_one" in capfd.readouterr().out
    assert json.loads((folder / "run" / "summary.json").read_text()) == {"stub": 1}


def test_a_stage_that_fails_ends_the_run_with_its_status(folder, monkeypatch, capfd):
    stages = [stage_of("raise SystemExit(3)", folder / "one", "one")]
    monkeypatch.setattr(quickstart, "make_stages", lambda root, small: stages)
    assert quickstart.main(["--directory", str(folder / "run")]) == 3
    assert "one ended with status 3; the same command goes on" in capfd.readouterr().out
    records = Records(folder / "run" / "stages.json")
    assert not records.is_done(stages[0])
    assert records.stages["one"]["attempts"] == 1


def test_other_settings_are_refused(tmp_path):
    stage = Stage.row("agent", "main --seed {seed}", tmp_path, {"seed": 1})
    records = Records(tmp_path / "stages.json")
    records.begin(stage)
    records.end(stage, 2.0)
    assert Records(records.path).is_done(stage)
    other = Stage.row("agent", "main --seed {seed}", tmp_path, {"seed": 2})
    with pytest.raises(ConfigError, match=r"begun with other settings:\n.*--seed 1\nand not\n.*2"):
        Records(records.path).is_done(other)


def test_damaged_records_are_as_good_as_none(tmp_path):
    (tmp_path / "stages.json").write_text("{")
    assert not Records(tmp_path / "stages.json").is_done(Stage.row("agent", "main", tmp_path, {}))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_lets_the_stage_save_its_work(folder, number, status):
    code = (
        "import pathlib, sys, time\n"
        "from motif.cli import run\n"
        "def command():\n"
        "    pathlib.Path('started').touch()\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        time.sleep(0.3); pathlib.Path('saved').touch()\n"
        "sys.exit(run(command))\n"
    )
    stage_of(code, folder / "one", "one")
    process = start_quickstart(folder)
    wait_for(folder / "started", process)
    process.send_signal(number)
    assert process.wait(timeout=30) == status
    assert (folder / "saved").exists()


def test_kill_9_takes_the_stage_along(folder):
    stage_of(
        "import os, pathlib, time\n"
        "pathlib.Path('pid').write_text(str(os.getpid())); pathlib.Path('started').touch()\n"
        "time.sleep(60)\n",
        folder / "one",
        "one",
    )
    process = start_quickstart(folder)
    wait_for(folder / "started", process)
    process.kill()
    process.wait(timeout=30)
    child = int((folder / "pid").read_text())
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        if "Z" in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2][:3]:
            return
        time.sleep(0.01)
    assert not Path(f"/proc/{child}").exists()


def start_quickstart(folder: Path) -> subprocess.Popen:
    """The quickstart in a process of its own, with the one stage of ``folder``."""
    code = (
        "import sys, pathlib; from scripts import quickstart as q\n"
        "stage = q.Stage('one', ['python', '-m', 'stage_one'], pathlib.Path('one'))\n"
        "q.make_stages = lambda root, small: [stage]\n"
        "sys.exit(q.main(['--directory', 'run']))\n"
    )
    root = str(Path(__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # a script's background jobs begin with Ctrl-C ignored, and so would this
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(path: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.01)


def test_run_stage_gives_the_status(folder):
    assert run_stage(stage_of("raise SystemExit(5)", folder / "one", "one")) == 5


@pytest.mark.slow
@pytest.mark.nle
def test_the_whole_pipeline_small(tmp_path, capfd):
    command = ["--directory", str(tmp_path / "run"), "--small", "True"]
    assert quickstart.main(command) == 0
    shown = capfd.readouterr().out
    assert "next: python -m scripts.visualize --train_dir" in shown
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["pairs"] == sum(summary["labels"].values()) == 50_000
    assert summary["frames"] >= 8_192
    assert set(summary["seconds"]) == {"unpack", "annotate", "compare", "reward", "agent", "watch"}
    assert 0 <= summary["validation_accuracy"] <= 1
    assert (tmp_path / "run" / "report.png").stat().st_size > 10_000
    before = (tmp_path / "run" / "stages.json").read_text()
    assert quickstart.main(command) == 0
    assert (tmp_path / "run" / "stages.json").read_text() == before
    assert QuickstartConfig().directory == Path("runs/quickstart")

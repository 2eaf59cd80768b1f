"""Command lines from dataclasses, and how commands end."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from motif.cli import SCRIPTS, Terminated, boolean, command, option, parse_config, run
from motif.errors import ConfigError, DatasetError


@dataclass(frozen=True)
class Config:
    batch_size: int = option(32, "pairs; 100% of them")
    rate: float = option(1e-4, "of learning")
    name: str | None = option(None, "of the run")
    folder: Path = option(Path("runs"), "of runs")
    kind: Literal["small", "large"] = option("small", "of model")
    verbose: bool = option(False, "say more")
    players: tuple[Literal["one", "two"], ...] = option(("one",), "of the game")
    not_a_flag: int = 7

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"--batch_size must be at least 1, got {self.batch_size}")


def parse(*argv: str) -> Config:
    return parse_config(Config, argv, "A stage.")


def test_defaults_are_the_dataclass_s():
    assert parse() == Config()


def test_types_follow_the_annotations():
    config = parse("--batch_size", "8", "--rate", "0.5", "--name", "a-b", "--folder", "x-y")
    assert config == Config(batch_size=8, rate=0.5, name="a-b", folder=Path("x-y"))
    assert parse("--kind", "large").kind == "large"
    assert parse("--players", "two", "one").players == ("two", "one")


@pytest.mark.parametrize(
    "argv", [("--batch-size", "8"), ("--batch_size", "8"), ("--batch-size=8",), ("--batch_size=8",)]
)
def test_hyphens_and_underscores_are_the_same(argv):
    assert parse(*argv).batch_size == 8


def test_hyphens_in_values_stay():
    assert parse("--name=my-run-1").name == "my-run-1"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ((), False),
        (("--verbose",), True),
        (("--verbose", "True"), True),
        (("--verbose", "false"), False),
        (("--verbose", "False"), False),
        (("--verbose=0",), False),
        (("--verbose", "YES"), True),
        (("--verbose", "off"), False),
    ],
)
def test_booleans(argv, expected):
    assert parse(*argv).verbose is expected


def test_no_boolean():
    with pytest.raises(argparse.ArgumentTypeError, match="expected True or False, got 'maybe'"):
        boolean("maybe")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--batch", "8"], "unrecognized arguments: --batch 8"),  # no abbreviations
        (["--batch_size", "many"], "invalid int value: 'many'"),
        (["--kind", "medium"], "invalid choice: 'medium'"),
        (["--players", "one", "six"], "invalid choice: 'six'"),
        (["--players"], "expected at least one argument"),
        (["--verbose", "maybe"], "expected True or False, got 'maybe'"),
        (["--not_a_flag", "3"], "unrecognized arguments: --not_a_flag 3"),
        (["--batch_size", "0"], "--batch_size must be at least 1, got 0"),
    ],
)
def test_mistakes_end_with_usage_and_2(capsys, argv, message):
    with pytest.raises(SystemExit, match="2"):
        parse(*argv)
    error = capsys.readouterr().err
    assert "usage:" in error
    assert message in error


def test_help_shows_every_flag_its_help_and_default(capsys):
    with pytest.raises(SystemExit, match="0"):
        parse("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "A stage." in shown
    assert "--batch_size BATCH_SIZE pairs; 100% of them (default: 32)" in shown
    assert "--kind {small,large} of model (default: small)" in shown
    assert "--name NAME of the run --" in shown
    assert "not_a_flag" not in shown


def raiser(error: BaseException):
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (lambda: None, 0, ""),
        (lambda: 3, 3, ""),
        (raiser(DatasetError("no data; collect some")), 2, "error: no data; collect some\n"),
        (raiser(KeyboardInterrupt()), 130, "interrupted; the same command goes on from here\n"),
        (raiser(Terminated()), 143, "terminated; the same command goes on from here\n"),
        (
            raiser(PermissionError(13, "Permission denied", "/a/b")),
            2,
            "error: Permission denied: /a/b\n",
        ),
        (
            raiser(OSError(28, "No space left on device", "/a/b")),
            2,
            "error: No space left on device: /a/b; make room, then start the same command again\n",
        ),
    ],
)
def test_how_a_command_ends(capsys, command, status, message):
    assert run(command) == status
    assert capsys.readouterr().err == message


def test_a_printed_command_can_be_pasted():
    line = command("agent", "--check", train_dir=Path("my runs"), seed=7, note="it's")
    assert line == (
        """python -m scripts.main --check --train_dir 'my runs' --seed 7 --note 'it'"'"'s'"""
    )


@pytest.mark.parametrize("stage", SCRIPTS)
def test_every_stage_has_its_script(stage):
    assert (Path(__file__).parent.parent / "scripts" / f"{SCRIPTS[stage]}.py").is_file()


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ZeroDivisionError, match="division"):
        run(lambda: 1 // 0)
    with pytest.raises(OSError, match="odd"):
        run(raiser(OSError("odd")))


def test_a_missing_file_is_named(tmp_path, capsys):
    assert run(lambda: len((tmp_path / "gone").read_text())) == 2
    assert capsys.readouterr().err == f"error: No such file or directory: {tmp_path / 'gone'}\n"


def test_sigterm_unwinds_and_exits_with_143(tmp_path):
    code = (
        "import sys, time, pathlib; from motif.cli import run\n"
        "def command():\n"
        "    try:\n"
        "        pathlib.Path(sys.argv[1], 'started').touch(); time.sleep(60)\n"
        "    finally:\n"
        "        pathlib.Path(sys.argv[1], 'flushed').touch()\n"
        "sys.exit(run(command))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 143
    assert (tmp_path / "flushed").exists()
    assert error == b"terminated; the same command goes on from here\n"


ROOT = Path(__file__).parent.parent

ALL_HELP = """
import importlib, pkgutil, scripts
for script in sorted(module.name for module in pkgutil.iter_modules(scripts.__path__)):
    try:
        importlib.import_module(f"scripts.{script}").main(["--help"])
    except SystemExit as end:
        print(script, end.code)
"""
ENCODINGS = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
}


def run_python(code: str, *argv: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def test_help_in_an_encoding_that_lacks_characters():
    done = run_python(ALL_HELP, **ENCODINGS["ascii"])
    assert (done.returncode, done.stderr) == (0, b"")
    scripts = sorted(path.stem for path in (ROOT / "scripts").glob("[!_]*.py"))
    assert [name for name in scripts if f"{name} 0\n".encode() not in done.stdout] == []


@pytest.mark.parametrize("environment", ENCODINGS.values(), ids=ENCODINGS)
def test_output_that_the_encoding_lacks_is_replaced(environment):
    code = (
        "import sys; from motif.cli import run; from motif.errors import DatasetError\n"
        "def command():\n"
        "    print('first \\u2026'); raise DatasetError('then \\u2026')\n"
        "sys.exit(run(command))\n"
    )
    done = run_python(code, **environment)
    assert (done.returncode, done.stdout) == (2, b"first ?\n")
    assert done.stderr == b"error: then \\u2026\n"


MANY_LINES = """
import sys; from motif.cli import run
def command():
    for number in range(100_000):
        print(number)
sys.exit(run(command))
"""


def test_a_reader_that_has_enough_ends_it_quietly():
    process = subprocess.Popen(
        [sys.executable, "-c", MANY_LINES],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_a_full_disk_does_not_take(tmp_path):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", MANY_LINES],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: No space left on device; make room, then")
    assert done.stderr.count(b"\n") == 1


def test_a_broken_pipe_elsewhere_is_an_error(capsys):
    assert run(raiser(BrokenPipeError(32, "Broken pipe"))) == 2
    assert capsys.readouterr().err == "error: Broken pipe\n"


def test_a_table_is_utf_8_whatever_the_terminal_s_encoding(tmp_path):
    code = (
        "import sys, pathlib; from motif.results.curves import write_csv\n"
        "write_csv(pathlib.Path(sys.argv[1]), ['gold \\u00b1'], [[1.5]])\n"
    )
    done = run_python(code, str(tmp_path / "table.csv"), **ENCODINGS["ascii"])
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "table.csv").read_text(encoding="utf-8") == "gold ±\n1.5\n"

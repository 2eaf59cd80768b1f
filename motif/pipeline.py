"""Stages one after the other, each a command in a process of its own; what is done is kept."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motif.atomic_write import write_json
from motif.cli import Terminated
from motif.errors import ConfigError
from motif.file_lock import only_run
from motif.processes import guarded


@dataclass(frozen=True)
class Stage:
    """One command, and a file or folder that is there once it has ended well."""

    name: str
    command: Sequence[str]  # without the interpreter's path
    makes: Path
    always: bool = False  # cheap, and run again each time

    @classmethod
    def row(
        cls,
        name: str,
        line: str,
        makes: Path,
        words: Mapping[str, object],
        always: bool = False,
        given: str = "",
    ) -> Stage:
        """A script and its flags in one ``line``; ``words`` stand for the {names} in it.

        Args:
            given: a user's flags, as a shell reads them; they come last.
        """
        script, *flags = (word.format(**words) for word in line.split())
        flags += shlex.split(given)
        return cls(name, ["python", "-m", f"scripts.{script}", *flags], makes, always)


class Records:
    """``stages.json``: the command of each stage that was begun, and how long it took if done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: dict[str, dict[str, Any]] = {}
        if path.is_file():
            with contextlib.suppress(ValueError):  # damaged: every stage runs, and finds its work
                self.stages = json.loads(path.read_text())

    def is_done(self, stage: Stage) -> bool:
        """Whether ``stage`` ended well before.

        Raises:
            ConfigError: it was begun with another command.
        """
        record = self.stages.get(stage.name)
        if record is None or stage.always:
            return False
        command = shlex.join(stage.command)
        if record["command"] != command:
            raise ConfigError(
                f"{self.path.parent} was begun with other settings:\n  {record['command']}\n"
                f"and not\n  {command}\nchoose another --directory, or delete this one"
            )
        return "seconds" in record and stage.makes.exists()

    def begin(self, stage: Stage) -> None:
        """Count an attempt."""
        attempts = self.stages.get(stage.name, {}).get("attempts", 0) + 1
        self.stages[stage.name] = {"command": shlex.join(stage.command), "attempts": attempts}
        write_json(self.path, self.stages)

    def end(self, stage: Stage, seconds: float) -> None:
        """Note success; after an interruption ``seconds`` are those of the last attempt."""
        self.stages[stage.name]["seconds"] = round(seconds, 1)
        write_json(self.path, self.stages)


def run_stages(stages: Sequence[Stage], records: Records) -> int:
    """Run what isn't done, and stop where a stage fails; its exit status, or 0.

    Raises:
        ConfigError: a stage was begun with another command, or another process is at them.
    """
    folder = records.path.parent
    busy = ConfigError(f"another run is at work in {folder}; wait for it, or give --directory")
    with only_run(folder, busy):
        return _run_stages(stages, records)


def _run_stages(stages: Sequence[Stage], records: Records) -> int:
    for number, stage in enumerate(stages, start=1):
        heading = f"[{number}/{len(stages)}] {stage.name}"
        if records.is_done(stage):
            seconds = records.stages[stage.name]["seconds"]
            print(f"{heading}: done before, in {seconds:.0f} s", flush=True)
            continue
        print(f"{heading}\n$ {shlex.join(stage.command)}", flush=True)
        records.begin(stage)
        start = time.monotonic()
        if status := run_stage(stage):
            print(f"{stage.name} ended with status {status}; the same command goes on from here")
            return status if status > 0 else 128 - status
        records.end(stage, time.monotonic() - start)
    return 0


def run_stage(stage: Stage) -> int:
    """Run a stage in a process of its own, which ends if this one does; its exit status."""
    with guarded():
        process = subprocess.Popen([sys.executable, *stage.command[1:]], start_new_session=True)
        try:
            return process.wait()
        except (KeyboardInterrupt, Terminated) as interruption:
            # In a session of its own it saw no Ctrl-C: one signal, and time to save its work.
            stop = signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT
            process.send_signal(stop)
            process.wait()
            raise

"""Does a kill lose anything? Real ones, at random moments, until the work is done; then compare.

    python tests/crash/campaign.py --stage collect --kills 100

A stage's commands are run once undisturbed. Then they run again and again in a folder of their
own, each killed at a moment drawn uniformly over the time that the undisturbed run took, by -9 and
SIGTERM in turn, and started again until the work is done. After each kill no process may be left,
and nothing on the disk may be half; at the end the folder must equal the undisturbed one, byte by
byte, where the stage is deterministic. See crash_stages.py for what each stage checks.

The commands are forked from this process, which has imported what they need, so that a moment
falls into their work and not into imports; the RL stage, whose own processes import anew, is
started from the shell. Ends with a line of JSON; any difference is an error.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from crash_stages import STAGES, Command, Stage

PINNED_DATE = "2026-01-15 08:00:00"  # NetHack reads it
MARK = "MOTIF_CRASH_CAMPAIGN"  # in the environment of all that a command starts
LONGEST_END = 180.0  # seconds for a process to end, on a busy machine
ENDINGS = {  # by signal; -15: before the command has taken over the signal
    signal.SIGKILL: {-signal.SIGKILL},
    signal.SIGTERM: {143, -signal.SIGTERM},
}


@dataclass
class Run:
    """A command under way."""

    pid: int
    output: Path
    status: int | None = None  # as subprocess has it; None while it runs

    def poll(self) -> int | None:
        if self.status is None:
            pid, raw = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(raw)
        return self.status

    def wait(self, deadline: float) -> None:
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"process {self.pid} does not end:\n{self.said()}")
            time.sleep(0.01)

    def said(self) -> str:
        return self.output.read_text(errors="replace")[-3000:]


def start(stage: Stage, command: Command, folder: Path, number: int) -> Run:
    """Start a command in ``folder``, in a session of its own."""
    output = folder.with_name(f"{folder.name}-{number}.txt")
    if not stage.forked:
        line = [sys.executable, "-m", command.module, *command.arguments]
        environment = {**os.environ, MARK: str(os.getpid()), "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.getcwd()
        with output.open("ab") as file:
            process = subprocess.Popen(
                line, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        return Run(process.pid, output)
    pid = os.fork()
    if pid:
        return Run(pid, output)
    status = 70
    try:
        os.setsid()
        os.environ[MARK] = str(os.getppid())
        os.chdir(folder)
        descriptor = os.open(output, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        status = importlib.import_module(command.module).main(command.arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def left_behind(sessions: set[int]) -> list[psutil.Process]:
    """Processes that the commands started and that still run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            marked = process.environ().get(MARK) == str(os.getpid())
            ours = os.getsid(process.pid) in sessions or marked
            if ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(process)
    return found


class Campaign:
    """Kills of one stage, and what came of them."""

    def __init__(self, stage: Stage, folder: Path, rng: random.Random) -> None:
        self.stage, self.folder, self.rng = stage, folder, rng
        self.outcomes: Counter[str] = Counter()
        self.signals = self._in_turn()
        self.kills = 0
        self.duration = 0.0

    @staticmethod
    def _in_turn() -> Iterator[signal.Signals]:
        while True:
            yield signal.SIGKILL
            yield signal.SIGTERM

    def reference(self) -> Path:
        """The undisturbed run."""
        folder = self._new("undisturbed")
        began = time.monotonic()
        self._round(folder, disturbed=False)
        self.duration = time.monotonic() - began
        self.stage.check_done(folder)
        return folder

    def attempt(self, reference: Path, most_kills: int) -> None:
        """Kill and start again until the work is done or there were enough kills; then compare."""
        folder = self._new("killed")
        done, kills, began = False, self.kills, time.monotonic()
        while not done:
            done = self._round(folder, disturbed=self.kills < most_kills)
            self.stage.check_cut(folder)
        if self.kills == kills:  # a machine that was busy before would put most moments too late
            self.duration = min(self.duration, time.monotonic() - began)
        self.stage.check_done(folder)
        self.stage.check_equal(folder, reference)
        self.outcomes["attempts finished"] += 1

    def _new(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for output in self.folder.glob(f"{name}-*.txt"):
            output.unlink()
        self.stage.begin(folder)
        return folder

    def _round(self, folder: Path, *, disturbed: bool) -> bool:
        """Start all commands, kill each at its moment; whether all came to their end."""
        commands = self.stage.commands(folder)
        runs = [start(self.stage, one, folder, number) for number, one in enumerate(commands)]
        began = time.monotonic()
        moments = sorted((self.rng.uniform(0, self.duration), n) for n in range(len(runs)))
        expected: dict[int, set[int]] = {}
        for moment, number in moments if disturbed else []:
            while time.monotonic() < began + moment and runs[number].poll() is None:
                time.sleep(0.002)
            if runs[number].poll() is None:
                chosen = next(self.signals)
                os.kill(runs[number].pid, chosen)
                self.kills += 1
                self.outcomes[chosen.name] += 1
                expected[number] = ENDINGS[chosen]
        for number, run in enumerate(runs):
            run.wait(time.monotonic() + (LONGEST_END if number in expected else 3600))
            if run.status not in {0} | expected.get(number, set()):
                raise AssertionError(f"status {run.status} instead of 0:\n{run.said()}")
        self._no_orphans({run.pid for run in runs})
        self.outcomes["ended all the same"] += sum(runs[n].status == 0 for n in expected)
        return all(run.status == 0 for run in runs)

    def _no_orphans(self, sessions: set[int]) -> None:
        deadline = time.monotonic() + LONGEST_END
        while left := left_behind(sessions):
            if time.monotonic() > deadline:
                raise AssertionError(f"left behind: {left}")
            time.sleep(0.05)


def run_campaign(name: str, kills: int, seed: int, folder: Path) -> dict[str, object]:
    """``kills`` kills of a stage; raises AssertionError at the first thing that is wrong."""
    stage = STAGES[name](folder / "shared")
    with stage.prepared():
        campaign = Campaign(stage, folder, random.Random(seed))
        reference = campaign.reference()
        while campaign.kills < kills:
            campaign.attempt(reference, kills)
            print(f"{name}: {campaign.kills} of {kills} kills", file=sys.stderr, flush=True)
    return {
        "stage": name,
        "seed": seed,
        "kills": campaign.kills,
        **campaign.outcomes,
        **stage.counted,
        "undisturbed_s": round(campaign.duration, 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    arguments = parser.parse_args(argv)
    pinned = "faketime" in os.environ.get("LD_PRELOAD", "")
    if STAGES[arguments.stage].date_matters and not pinned:
        line = [sys.executable, __file__, *(argv or sys.argv[1:])]
        return subprocess.call(["faketime", PINNED_DATE, *line])
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        figures = run_campaign(arguments.stage, arguments.kills, arguments.seed, folder.resolve())
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

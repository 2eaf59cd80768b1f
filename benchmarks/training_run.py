"""A training run of scripts.main, watched from outside: CPU time of its processes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.synthetic_pairs import write_pairs
from scripts.train_reward import main as train_reward

POLL_SECONDS = 0.1
WARM_UP_SHARE = 0.25  # of the frames, not counted


def untrained_reward_model(folder: Path) -> str:
    """Flags that train with a reward model; it has learnt nothing, and is as fast as any."""
    write_pairs(folder / "pairs", 2000)
    flags = f"--dataset_dir {folder}/pairs --annotator synthetic --train_dir {folder}"
    if train_reward([*flags.split(), "--experiment", "reward", "--num_epochs", "1"]) != 0:
        raise SystemExit("no reward model to train with")
    return f"--llm_reward 0.1 --reward_dir {folder}/reward"


def process_parts(main: int) -> dict[str, list[psutil.Process]]:
    """Processes by part: a labeller, then Sample Factory's learner, inference, environments."""
    runner = psutil.Process(main)
    spawned = [one for one in runner.children() if "spawn_main" in " ".join(one.cmdline())]
    spawned.sort(key=lambda child: child.create_time())
    labeller = [spawned.pop(0)] if "--online" in runner.cmdline() else []
    return {
        "labeller": labeller,
        "learner": spawned[:1],
        "inference": spawned[1:2],
        "env": spawned[2:],
        "runner": [runner],
    }


def cpu_seconds(parts: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """CPU time so far of each part."""
    seconds = {}
    for part, processes in parts.items():
        times = [process.cpu_times() for process in processes]
        seconds[part] = sum(time.user + time.system for time in times)
    return seconds


def measure(
    folder: Path, name: str, flags: str, frames: int, module: str = "scripts.main"
) -> dict[str, float]:
    """Train in processes of its own: CPU milliseconds a frame by part, their sum, and frames/s.

    Measured from the first count of frames that is logged after the warm-up to the last one.
    """
    command = f"-m {module} --train_dir {folder} --experiment {name} {flags}"
    command += f" --train_for_env_steps {frames}"
    process = subprocess.Popen(
        [sys.executable, *command.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    log_file, last = folder / name / "sf_log.txt", 0
    marks: list[tuple[int, float, dict[str, float]]] = []
    try:
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            log = log_file.read_text() if log_file.is_file() else ""
            counts = [int(number) for number in re.findall(r"Total num frames: (\d+)", log)]
            if counts and counts[-1] > max(last, WARM_UP_SHARE * frames):
                last = counts[-1]
                with suppress(psutil.NoSuchProcess):
                    marks.append((last, time.monotonic(), cpu_seconds(process_parts(process.pid))))
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
    if process.returncode != 0:
        raise SystemExit(f"training failed; see {log_file}")
    if len(marks) < 2:
        raise SystemExit(f"{name}: too few frames to measure; give more than {frames}")
    (first, start, before), (last, end, after) = marks[0], marks[-1]
    figures = {part: (after[part] - before[part]) / (last - first) * 1e3 for part in after}
    return {**figures, "total": sum(figures.values()), "fps": (last - first) / (end - start)}

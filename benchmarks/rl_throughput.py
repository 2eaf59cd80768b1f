"""What a frame of training costs, by process, with the intrinsic reward and without.

    python -m benchmarks.rl_throughput

Trains with scripts.main, asynchronously, in turn with and without the reward (an untrained reward
model: as fast as a trained one). CPU milliseconds of each process are counted from the first report
after the start-up to the last; median over the rounds.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

from benchmarks.report import report
from benchmarks.synthetic_pairs import write_pairs
from scripts.train_reward import main as train_reward

FRAMES = 40_000
WARM_UP = 10_000
ROUNDS = 2
SETTINGS = "--num_workers 2 --num_envs_per_worker 32 --batch_size 2048 --reward_scale 0.1"
SETTINGS += " --obs_scale 255.0 --extrinsic_reward 0.1 --decorrelate_experience_max_seconds 1"


def process_parts(main: int) -> dict[str, list[int]]:
    """Process numbers by part: Sample Factory starts learner, inference, environments in turn."""
    children = psutil.Process(main).children()
    spawned = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    pids = [child.pid for child in sorted(spawned, key=lambda child: child.create_time())]
    return {"learner": pids[:1], "inference": pids[1:2], "env": pids[2:]}


def cpu_seconds(parts: dict[str, list[int]], main: int) -> dict[str, float]:
    """CPU time so far of each part, and of the main process."""
    seconds = {}
    for part, pids in {**parts, "runner": [main]}.items():
        times = [psutil.Process(pid).cpu_times() for pid in pids]
        seconds[part] = sum(time.user + time.system for time in times)
    return seconds


def measure(folder: Path, name: str, flags: str) -> dict[str, float]:
    """CPU milliseconds a frame by part, their sum, and frames a second, of one training run."""
    command = f"-m scripts.main --train_dir {folder} --experiment {name} {SETTINGS} {flags}"
    command += f" --train_for_env_steps {FRAMES}"
    process = subprocess.Popen(
        [sys.executable, *command.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    log_file = folder / name / "sf_log.txt"
    marks: list[tuple[int, float, dict[str, float]]] = []
    while process.poll() is None:
        time.sleep(0.1)
        log = log_file.read_text() if log_file.is_file() else ""
        frames = [int(number) for number in re.findall(r"Total num frames: (\d+)", log)]
        if frames and frames[-1] > WARM_UP and (not marks or frames[-1] != marks[-1][0]):
            try:
                cpu = cpu_seconds(process_parts(process.pid), process.pid)
            except psutil.NoSuchProcess:
                break
            marks.append((frames[-1], time.monotonic(), cpu))
    if process.wait() != 0 or len(marks) < 2:
        raise SystemExit(f"training failed; see {log_file}")
    (first, start, before), (last, end, after) = marks[0], marks[-1]
    figures = {part: (after[part] - before[part]) / (last - first) * 1e3 for part in after}
    return {**figures, "total": sum(figures.values()), "fps": (last - first) / (end - start)}


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_pairs(folder / "pairs", 2000)
        flags = f"--dataset_dir {folder}/pairs --annotator synthetic --train_dir {folder}"
        if train_reward([*flags.split(), "--experiment", "reward", "--num_epochs", "1"]) != 0:
            raise SystemExit("no reward model to train with")
        variants = {
            "reward_on": f"--llm_reward 0.1 --reward_dir {folder}/reward",
            "reward_off": "--llm_reward 0.0",
        }
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
        for number in range(ROUNDS):
            for name, flag in variants.items():
                runs[name].append(measure(folder, f"{name}_{number}", flag))
                print(name, {key: round(value, 3) for key, value in runs[name][-1].items()})
    figures = {
        f"{name}_{key}": round(median(run[key] for run in runs[name]), 3)
        for name in variants
        for key in runs[name][0]
    }
    pairs = list(zip(runs["reward_on"], runs["reward_off"]))
    cost = median(on["total"] / off["total"] for on, off in pairs) - 1
    report(
        "rl_throughput",
        {"settings": SETTINGS, "frames": FRAMES, "rounds": ROUNDS, **figures},
        {"reward_cost": round(cost, 4)},
    )


if __name__ == "__main__":
    main()

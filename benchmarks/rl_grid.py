"""Training speed over a grid of workers and environments, with the intrinsic reward on.

    python -m benchmarks.rl_grid --workers 8 12 16 --envs 16 32 64 --batch_size 4096

Frames a second and CPU milliseconds a frame by part; prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import report
from benchmarks.training_run import measure, untrained_reward_model

SETTINGS = "--reward_scale 0.1 --obs_scale 255.0 --extrinsic_reward 0.1"
SETTINGS += " --decorrelate_experience_max_seconds 1"
PARTS = ("learner", "inference", "env", "runner")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 12, 16])
    parser.add_argument("--envs", type=int, nargs="+", default=[16, 32, 64], help="per worker")
    parser.add_argument("--batch_size", type=int, default=4096)
    parser.add_argument("--frames", type=int, default=2_000_000, help="of one cell")
    parser.add_argument("--flags", default="", help="further flags of scripts.main")
    arguments = parser.parse_args(argv)
    cells: list[dict[str, Any]] = []
    print("workers  envs   frames/s   CPU ms a frame:", *(f"{part:>10s}" for part in PARTS))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reward = untrained_reward_model(folder)
        for workers in arguments.workers:
            for envs in arguments.envs:
                flags = f"{SETTINGS} {reward} --batch_size {arguments.batch_size}"
                flags += f" --num_workers {workers} --num_envs_per_worker {envs} {arguments.flags}"
                run = measure(folder, f"{workers}x{envs}", flags, arguments.frames)
                parts = [f"{run[part]:10.3f}" for part in PARTS]
                print(f"{workers:7d} {envs:5d} {run['fps']:10.0f} {'':>16s}", *parts, flush=True)
                figures = {name: round(value, 4) for name, value in run.items()}
                cells.append({"workers": workers, "envs": envs, **figures})
    best = max(cells, key=lambda cell: cell["fps"])
    ratios = {f"{cell['workers']}x{cell['envs']}": cell["fps"] / best["fps"] for cell in cells}
    settings = {"settings": SETTINGS, **vars(arguments)}
    rounded = {name: round(value, 3) for name, value in ratios.items()}
    report("rl_grid", {**settings, "cells": cells}, rounded)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Training a reward model alone and beside busy processes, by how torch's threads wait.

    python -m benchmarks.busy_machine

Each figure is a process of its own, since the threads' settings hold from the start: pairs/s of
``benchmarks.reward_training`` on 5,000 pairs. All are taken in turn, round by round; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.report import report
from motif.cores import cores

WAYS = {
    "OpenMP's own": {"GOMP_SPINCOUNT": "300000"},
    "ours": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
COMMAND = "-m benchmarks.reward_training --sizes 5000 --rounds 3 --steps 1"


def measure(way: dict[str, str], neighbours: int) -> float:
    """Pairs/s while so many processes count."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(neighbours)]
    try:
        line = subprocess.run(
            [sys.executable, *COMMAND.split()],
            env={**os.environ, **way},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()[-1]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return float(json.loads(line)["figures"]["by_size"]["5000"]["pairs_per_second"])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--neighbours", type=int, default=cores())
    arguments = parser.parse_args(argv)
    speeds = defaultdict(list)
    for _ in range(arguments.rounds):
        for neighbours, place in ((0, "alone"), (arguments.neighbours, "beside")):
            for name, way in WAYS.items():
                speeds[f"{place}, {name}"].append(measure(way, neighbours))
                print(f"{place}, {name}: {speeds[f'{place}, {name}'][-1]:,.0f} pairs/s", flush=True)
    figures = {name: round(statistics.median(values)) for name, values in speeds.items()}
    ratios = {
        place: round(figures[f"{place}, ours"] / figures[f"{place}, OpenMP's own"], 2)
        for place in ("alone", "beside")
    }
    report("busy_machine", {"neighbours": arguments.neighbours, **figures}, ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())

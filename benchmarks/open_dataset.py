"""What opening a dataset costs, from 10,000 to 1,000,000 pairs: time and memory.

    python -m benchmarks.open_dataset

The arrays are sparse files of zeros, so that no disk is needed. Each opening is a process of its
own that opens all arrays of the layout and takes the fingerprint; imports are not counted. Sizes
alternate; medians. Memory is what the process grew by: its own, and with the mapped pages of the
files, which the kernel takes back when it needs them (16 around each place that is read).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.report import report
from motif.pairs_dataset import ARRAYS

DTYPES = {  # of the collected datasets
    "message": np.uint8,
    "blstats": np.int64,
    "tty_chars": np.uint8,
    "tty_colors": np.int8,
    "rewards": np.float32,
    "score": np.int64,
    "turns": np.int64,
    "experience_level": np.int64,
    "character": "S15",
}
BLSTATS = 27

OPEN = """
import json, sys, time
from motif.pairs_dataset import ARRAYS, PairsDataset
def memory():
    status = dict(line.split(":") for line in open("/proc/self/status"))
    return [int(status[name].split()[0]) / 1024 for name in ("RssAnon", "VmHWM")]
before, start = memory(), time.perf_counter()
dataset = PairsDataset(sys.argv[1], tuple(ARRAYS))
opened = time.perf_counter()
fingerprint = dataset.fingerprint
done = time.perf_counter()
own, peak = (now - then for now, then in zip(memory(), before))
print(json.dumps({"open_ms": 1e3 * (opened - start), "fingerprint_ms": 1e3 * (done - opened),
                  "own_mib": own, "peak_mib_with_pages": peak}))
"""


def write_sparse(directory: Path, pairs: int) -> None:
    """Every array of the layout, all zeros, without blocks on the disk."""
    for key, spec in ARRAYS.items():
        item = tuple(length or BLSTATS for length in spec.item_shape)
        shape = ((pairs, 2, 1) if spec.leading_axes == 3 else (pairs, 2)) + item
        path = directory / spec.folder / f"{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(path, "w+", DTYPES[key], shape)


def open_once(directory: Path) -> dict[str, float]:
    """In a fresh process: milliseconds and MiB."""
    command = [sys.executable, "-c", OPEN, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args(argv)
    rounds: dict[int, list[dict[str, float]]] = {size: [] for size in arguments.sizes}
    with tempfile.TemporaryDirectory() as folder:
        for size in rounds:
            write_sparse(Path(folder) / str(size), size)
        for _ in range(arguments.rounds):
            for size, figures in rounds.items():
                figures.append(open_once(Path(folder) / str(size)))
    medians = {
        size: {name: round(statistics.median(f[name] for f in figures), 2) for name in figures[0]}
        for size, figures in rounds.items()
    }
    small, large = medians[arguments.sizes[0]], medians[arguments.sizes[-1]]
    ratios = {name: round(large[name] / small[name], 2) for name in small if small[name]}
    report("open_dataset", {str(size): figures for size, figures in medians.items()}, ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())

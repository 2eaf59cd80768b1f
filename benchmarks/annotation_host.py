"""What annotation costs beside the model: time a pair, and memory from 10,000 pairs to a million.

    python -m benchmarks.annotation_host

Each size runs in a process of its own, as the command would, with an engine that answers at once:
what is left is our own work. Two datasets a size: messages as a random player sees them, and
messages that are all different, so that each pair is a prompt and a key of the cache.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.report import report
from benchmarks.synthetic_pairs import write_pairs
from motif.annotate.annotator import annotate_chunk
from motif.annotate.cache import AnswerCache
from motif.annotate.chat import Reply, Request
from motif.annotate.language_model import AskingOptions, LanguageModelAnnotator
from motif.annotate.prompt import load_shipped_prompt
from motif.messages import MESSAGE_LENGTH
from motif.pairs_dataset import PairsDataset
from motif.preference.chunk import PreferenceChunk

SIZES = (10_000, 100_000, 1_000_000)
BLOCK = 50_000
LETTERS = 48  # of a message; the rest is padding
FLUSHING_FREQ = 1000  # the command's default
ANSWER = "First I look at the one, then at the other. " * 20 + '("best_description": 1)'


class Instant:
    """Answers at once."""

    max_model_len = None

    def __init__(self) -> None:
        self.queue: list[Request] = []

    def submit(self, requests: Sequence[Request]) -> None:
        self.queue.extend(requests)

    def collect(self) -> list[Reply]:
        requests, self.queue = self.queue, []
        return [Reply(request.tag, ANSWER, 300, 200) for request in requests]

    def close(self) -> None:
        """Nothing to free."""


def write_distinct_pairs(directory: Path, pairs: int) -> None:
    """A dataset in which no message comes twice."""
    (directory / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    messages_BPTC = np.lib.format.open_memmap(
        directory / "data" / "message.npy", "w+", np.uint8, (pairs, 2, 1, MESSAGE_LENGTH)
    )
    for start in range(0, pairs, BLOCK):
        block = messages_BPTC[start : start + BLOCK]
        block[..., :LETTERS] = rng.integers(97, 123, (*block.shape[:-1], LETTERS), np.uint8)


def label_all(directory: Path, window: int) -> dict[str, float]:
    """Label a dataset as the command does; its speed and the process's highest memory."""
    started = time.process_time()  # of one core, whatever else the machine does
    pairs = PairsDataset(directory)
    cache = directory / "preference" / "answers"
    annotator = LanguageModelAnnotator(
        load_shipped_prompt("default", "defaultgoal"),
        Instant,
        AnswerCache(cache),
        source={},
        options=AskingOptions(window=window),
    )
    with PreferenceChunk(pairs, "stub", {}) as chunk:
        annotate_chunk(pairs, annotator, chunk, flushing_freq=FLUSHING_FREQ)
    files = list(cache.glob("*.jsonl"))
    return {
        "peak_mib": peak_mib(),
        "pairs_per_cpu_s": round(len(pairs) / (time.process_time() - started)),
        "stored_bytes": sum(path.stat().st_size for path in files),
        "prompts": sum(count_lines(path) for path in files),
    }


def peak_mib() -> float:
    """Most memory that this program had at once; getrusage would count what forked it, too."""
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+)", status, re.M)
    return round(int(kibibytes) / 1024, 1)


def count_lines(path: Path) -> int:
    """Lines of a file of any size."""
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def in_a_process(directory: Path, window: int) -> dict[str, float]:
    """:func:`label_all` in a fresh process, whose memory is its own."""
    command = [sys.executable, "-m", "benchmarks.annotation_host"]
    command += ["--label", str(directory), "--window", str(window)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return measured


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--window", type=int, default=AskingOptions.window, help="prompts at once")
    parser.add_argument("--label", type=Path, help="label this dataset in this process, and stop")
    arguments = parser.parse_args(argv)
    if arguments.label is not None:
        print(json.dumps(label_all(arguments.label, arguments.window)))
        return 0
    figures, growth = {}, {}
    for kind, write in (("as played", write_pairs), ("all distinct", write_distinct_pairs)):
        for size in arguments.sizes:
            with tempfile.TemporaryDirectory() as name:
                write(Path(name) / "pairs", size)
                measured = in_a_process(Path(name) / "pairs", arguments.window)
            figures[f"{kind}, {size:,} pairs"] = measured
            print(f"{kind}, {size:,} pairs: {measured}", file=sys.stderr, flush=True)
        peaks = [figures[f"{kind}, {size:,} pairs"]["peak_mib"] for size in arguments.sizes]
        growth[f"peak, {kind}, most pairs / fewest"] = round(peaks[-1] / peaks[0], 3)
    report("annotation_host", figures, growth)
    return 0


if __name__ == "__main__":
    sys.exit(main())

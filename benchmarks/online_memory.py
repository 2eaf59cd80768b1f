"""What labels while training need of memory and disk, however many messages are met.

    python -m benchmarks.online_memory --messages 10_000_000

Distinct messages go the way from an environment's counts through files to a labeller whose judge is
a stub. Printed: the largest resident memory, the most files that waited, what ``online`` takes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import report
from motif.annotate.annotator import Annotator, Answers
from motif.annotate.config import AnnotationConfig
from motif.messages import MESSAGE_LENGTH
from motif.online.labeller import Labeller
from motif.online.met import FOLDER, MetMessages
from motif.online.settings import OnlineSettings

STEP = 10_000  # messages between two looks of the labeller


class Stub(Annotator):
    """Prefers the first side of every second pair."""

    source = {"type": "stub"}  # noqa: RUF012
    keys = ("message",)

    def annotate(self, pairs: Any, indices: Any) -> Iterator[Answers]:
        """Answers at once."""
        yield Answers(indices, (indices % 2).astype(np.int8))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000, help="distinct ones")
    parser.add_argument("--online_labels", type=int, default=100_000, help="as of scripts.main")
    arguments = parser.parse_args(argv)
    start, before, most_files = time.monotonic(), _megabytes(), 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        annotation = AnnotationConfig(annotator_type="rules", directory=folder / "dataset")
        settings = OnlineSettings("retrieval", folder, annotation, arguments.online_labels, 0)
        labeller, met = Labeller(settings, make=lambda config: Stub()), MetMessages(folder)
        for number in range(arguments.messages):
            met.count(b"You see here message number %d." % number + b"\0" * (MESSAGE_LENGTH - 40))
            if number % STEP == 0:
                most_files = max(most_files, len(list(folder.glob(f"{FOLDER}/*"))))
                labeller.step()
        labeller.close()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        figures = {
            "labels": labeller.labels.count,
            "waiting": len(labeller.waiting),
            "megabytes_before": before,
            "megabytes": _megabytes(),
            "files_that_waited": most_files,
            "disk_megabytes": round(size / 1e6, 1),
            "seconds": round(time.monotonic() - start, 1),
        }
    report(
        "online_memory", {**vars(arguments), **figures}, {"growth": figures["megabytes"] / before}
    )
    return 0


def _megabytes() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())

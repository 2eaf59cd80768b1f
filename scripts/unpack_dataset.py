"""Check the parts of a dataset's archive and unpack them.

    python -m scripts.unpack_dataset
    python -m scripts.unpack_dataset --check

The first line (or ``make dataset``) makes ``motif_dataset``, whole or not at all; if it is there
already, there is nothing to do. The second only checks the parts against SHA256SUMS, and says which
are missing or damaged and how to get them back. A shell does it without checks, too:

    cat motif_dataset_zipped/motif_dataset_part_* > motif_dataset.zip; unzip motif_dataset.zip
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from motif.archive.unpack import UnpackConfig, check, unpack
from motif.cli import command, parse_config, run
from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import label_sets

FAVOURITE = "rules_msg_defaultgoal"  # the label set that the next command names


def unpack_and_report(config: UnpackConfig) -> None:
    """Check or unpack, then say what there is and what comes next."""
    if config.check:
        size = check(config)
        print(f"the parts in {config.zipped} are whole; they unpack to {size / 1e6:,.0f} MB")
        return
    start = time.monotonic()
    unpacked = unpack(config)
    annotators = label_sets(config.target / "preference")
    what = f"{len(PairsDataset(config.target)):,} pairs in {config.target}"
    if unpacked:
        print(f"unpacked {what}: {time.monotonic() - start:.1f} s")
    else:
        print(f"nothing to do: {what}")
    print(f"label sets: {', '.join(annotators) or 'none'}")
    if annotators:
        name = FAVOURITE if FAVOURITE in annotators else annotators[0]
        train = command("reward", dataset_dir=config.target, annotator=name, experiment=name)
        print(f"next: {train}")
    else:
        annotate = command("annotate", "--directory", config.target, "--annotator-type", "rules")
        print(f"next: {annotate}")


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(UnpackConfig, argv, __doc__)
    return run(lambda: unpack_and_report(config))


if __name__ == "__main__":
    sys.exit(main())

"""Describe a dataset: who played, its pairs, messages, levels, scores and labels.

    python -m scripts.describe_dataset --directory motif_dataset \\
        --output motif_dataset_zipped/README.md --picture motif_dataset_zipped/dataset.png

    python -m scripts.describe_dataset --directory motif_dataset --check

Works on any dataset of the layout, the release's too. Without --output the Markdown is printed. A
file that exists is written between its two markers only: what a person wrote around them stays.
The second line describes nothing: it reads every byte of the arrays and compares it with the
sums that scripts.collect_pairs_dataset put into collection.json, and names what is damaged.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motif.cli import option, parse_config, run
from motif.pairs_dataset import check_sums
from motif.results.dataset_facts import gather_facts
from motif.results.datasheet import draw_datasheet, to_markdown, write_between_markers


@dataclass(frozen=True)
class DescriptionConfig:
    """What to describe, and where to write it."""

    directory: str = option("motif_dataset", "folder of the dataset")
    output: str | None = option(None, "Markdown file; default: printed")
    picture: str | None = option(None, "PNG file; the Markdown shows it")
    check: bool = option(False, "only compare the arrays with their sums, write nothing")


def describe(config: DescriptionConfig) -> None:
    """Read, then write or print; or check."""
    if config.check:
        start = time.monotonic()
        size = f"{check_sums(config.directory) / 1e6:,.0f} MB"
        seconds = time.monotonic() - start
        print(f"arrays in {config.directory} are as collected: {size}, {seconds:.1f} s")
        return
    facts = gather_facts(config.directory)
    text = to_markdown(facts)
    if config.picture:
        draw_datasheet(Path(config.picture), facts)
        here = Path(config.output).parent if config.output else Path()
        link = Path(os.path.relpath(config.picture, here)).as_posix()
        text = f"![messages, levels, scores, labels]({link})\n\n{text}"
    if config.output:
        write_between_markers(Path(config.output), text)
        print(f"{facts.pairs:,} pairs described in {config.output}")
    else:
        print(text)


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(DescriptionConfig, argv, __doc__)
    return run(lambda: describe(config))


if __name__ == "__main__":
    sys.exit(main())

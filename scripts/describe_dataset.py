"""Describe a dataset: who played, its pairs, messages, levels, scores and labels.

    python -m scripts.describe_dataset --directory motif_dataset \\
        --output motif_dataset_zipped/README.md --picture motif_dataset_zipped/dataset.png

Works on any dataset of the layout, the release's too. Without --output the Markdown is printed. A
file that exists is written between its two markers only: what a person wrote around them stays.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motif.cli import option, parse_config, run
from motif.results.dataset_facts import gather_facts
from motif.results.datasheet import draw_datasheet, to_markdown, write_between_markers


@dataclass(frozen=True)
class DescriptionConfig:
    """What to describe, and where to write it."""

    directory: str = option("motif_dataset", "folder of the dataset")
    output: str | None = option(None, "Markdown file; default: printed")
    picture: str | None = option(None, "PNG file; the Markdown shows it")


def describe(config: DescriptionConfig) -> None:
    """Read, then write or print."""
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

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

import sys
from collections.abc import Sequence

from motif.cli import parse_config, run
from motif.results.datasheet import DescriptionConfig, describe


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(DescriptionConfig, argv, __doc__)
    return run(lambda: describe(config))


if __name__ == "__main__":
    sys.exit(main())

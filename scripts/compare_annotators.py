"""Compare label sets of a dataset: counts, agreement, kappa, position bias, disagreements.

python -m scripts.compare_annotators --directory motif_dataset rules_msg_defaultgoal score
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from motif.annotate.compare import comparison_table, disagreement_table, draw_comparison
from motif.cli import Parser, run
from motif.errors import ConfigError
from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import find_probabilities, load_preferences


def compare_annotators(directory: Path, names: Sequence[str], most: int, picture: Path) -> int:
    if most < 0:
        raise ConfigError(f"--most must be at least 0, but is {most}")
    pairs = PairsDataset(directory)
    label_sets = [load_preferences(pairs, name) for name in names]
    probabilities = [find_probabilities(pairs, name) for name in names]
    print(comparison_table(names, label_sets, probabilities))
    if len(names) > 1 and most:
        print("\n" + disagreement_table(pairs, names, label_sets, most))
    draw_comparison(picture, names, label_sets)
    print(f"\npicture: {picture}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("annotators", nargs="+", help="label sets, as in <directory>/preference")
    parser.add_argument("--directory", type=Path, default=Path("motif_dataset"), help="the dataset")
    parser.add_argument("--most", type=int, default=10, help="disagreements to list (0: none)")
    parser.add_argument(
        "--picture", type=Path, help="where to draw; default: <directory>/preference/comparison.png"
    )
    arguments = parser.parse_args(argv)
    picture = arguments.picture or arguments.directory / "preference" / "comparison.png"
    return run(
        lambda: compare_annotators(
            arguments.directory, arguments.annotators, arguments.most, picture
        )
    )


if __name__ == "__main__":
    sys.exit(main())

"""Compare methods: learning curves over seeds, and aggregates with intervals.

    python -m scripts.plot_results --results motif_results.pkl --output_dir plots

takes any number of results files and run folders (``--run``) side by side, and writes a PNG, a PDF
and a CSV for each task, and for the aggregates over tasks (median, interquartile mean, mean and
optimality gap, by the rliable library). Bands and bars are 95 % bootstrap intervals over seeds;
with one seed there is none to speak of.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.cli import parse_config, run
from motif.results.comparison import PlotConfig, plot_results


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(PlotConfig, argv, __doc__)

    def command() -> None:
        for path in plot_results(config):
            print(f"written to {path}")

    return run(command)


if __name__ == "__main__":
    sys.exit(main())

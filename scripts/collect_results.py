"""Gather the learning curves of finished runs into ``motif_results.pkl``.

    python -m scripts.collect_results --run runs/experiment/rl/* --output motif_results.pkl

``results[task][method] = {"timesteps": [[…] per seed], "returns": [[…] per seed]}``; a point is the
mean return of the last 100 games. The method's name comes from the coefficients of the rewards
(motif, intrinsic_only, extrinsic_only); ``--run gold=DIR`` gives another. The CSV of each curve,
with the run's settings and commit beside it, goes into ``--csv_dir``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motif.cli import command, option, parse_config, run
from motif.errors import ConfigError
from motif.results.curves import as_results, read_curve, write_curve
from motif.results.results_file import write_results


@dataclass(frozen=True)
class CollectResultsConfig:
    """Which runs, and where to."""

    run: Sequence[str] = option((), "run folders, or method=folder", nargs="+", type=str)
    output: Path = option(Path("motif_results.pkl"), "the file of all curves")
    csv_dir: Path = option(Path("docs/results"), "folder of the CSV and JSON of each curve")

    def __post_init__(self) -> None:
        if not self.run:
            raise ConfigError("--run: name one run folder or more")


def collect_results(config: CollectResultsConfig) -> None:
    """Write the results and the CSV files.

    Raises:
        MotifError: a run is missing or damaged, or two are of one method, task and seed.
    """
    curves = [read_curve(text) for text in config.run]
    results = as_results(curves)
    for curve in curves:
        write_curve(config.csv_dir, curve)
    write_results(config.output, results)
    for task, methods in results.items():
        for method, seeds in methods.items():
            print(f"{task}: {method}, {len(seeds['returns'])} seeds")
    print(f"written to {config.output} and {config.csv_dir}")
    print(f"next: {command('plots', results=config.output)}")


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(CollectResultsConfig, argv, __doc__)
    return run(lambda: collect_results(config))


if __name__ == "__main__":
    sys.exit(main())

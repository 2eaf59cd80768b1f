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

from motif.cli import parse_config, run
from motif.results.curves import CollectResultsConfig, collect_results


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(CollectResultsConfig, argv, __doc__)
    return run(lambda: collect_results(config))


if __name__ == "__main__":
    sys.exit(main())

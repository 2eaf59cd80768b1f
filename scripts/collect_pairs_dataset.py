"""Stage 0: play NetHack, keep captioned observations, sample pairs.

    python -m scripts.collect_pairs_dataset --directory motif_dataset --num_pairs 20000

Another command line, for games that a scripted player, an early policy of an RL run (any run of
scripts.main) and its last policy play in turns:

    python -m scripts.collect_pairs_dataset --directory motif_dataset --num_pairs 100000 \\
        --policy explorer checkpoint --checkpoint train_dir/rl_saving_dir/standard_motif@10002432 \\
        train_dir/rl_saving_dir/standard_motif

Games that others played, or our agents recorded (docs/ttyrec.md):

    python -m scripts.collect_pairs_dataset --directory nld_dataset --num_pairs 100000 \\
        --ttyrec nld-aa/nle_data

Interrupted, even with kill -9, the same command goes on. Next: scripts.annotate_pairs_dataset.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from motif.cli import parse_config, run
from motif.collect.command import collect_and_report
from motif.collect.settings import CollectionConfig
from motif.device import resolve_device
from motif.games.game import Player


def main(argv: Sequence[str] | None = None) -> int:
    """Parse ``argv``, collect, and return the exit status."""
    config = parse_config(CollectionConfig, argv, __doc__)

    def load_policy(run_folder: Path, env_steps: int | None) -> Player:
        from sample_factory_ext.player import CheckpointPlayer

        device = str(resolve_device(config.device))
        return CheckpointPlayer(run_folder, device=device, env_steps=env_steps)

    return run(lambda: collect_and_report(config, load_policy))


if __name__ == "__main__":
    sys.exit(main())

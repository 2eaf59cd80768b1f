"""Import a reward model that the original release trained.

    python -m scripts.import_release_reward --release_dir their_train_dir/standard_reward \\
        --train_dir train_dir/reward_saving_dir --experiment imported_reward

``--checkpoint_num`` picks an iteration (default: the last).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.cli import parse_config, run
from motif.reward.release import ReleaseImportConfig, import_release_reward


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, import; return the exit status."""
    return run(lambda: import_release_reward(parse_config(ReleaseImportConfig, argv, __doc__)))


if __name__ == "__main__":
    sys.exit(main())

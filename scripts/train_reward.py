"""Train the reward model on a label set (stage 2).

    python -m scripts.train_reward --batch_size 1024 --reward_lr 1e-5 --num_epochs 10 --seed 777 \\
        --dataset_dir motif_dataset --annotator rules_msg_defaultgoal \\
        --experiment standard_reward --train_dir train_dir/reward_saving_dir

The same command goes on where it was stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.cli import parse_config, run
from motif.reward.config import RewardTrainingConfig
from motif.reward.training import train_reward


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, train; return the exit status."""
    return run(lambda: train_reward(parse_config(RewardTrainingConfig, argv, __doc__)))


if __name__ == "__main__":
    sys.exit(main())

"""Stage 3: train an APPO agent in NetHack with the intrinsic reward.

    python -m scripts.main --algo APPO --env nle_fixed_eat_action --num_workers 24 \\
        --num_envs_per_worker 20 --batch_size 4096 --reward_scale 0.1 --obs_scale 255.0 \\
        --train_for_env_steps 2_000_000_000 --save_every_steps 10_000_000 \\
        --keep_checkpoints 5 --stats_avg 1000 --seed 777 \\
        --reward_dir train_dir/reward_saving_dir/standard_reward/ \\
        --experiment standard_motif --train_dir train_dir/rl_saving_dir \\
        --extrinsic_reward 0.1 --llm_reward 0.1 --reward_encoder nle_torchbeast_encoder \\
        --root_env NetHackScore-v1 --beta_count_exponent 3 --eps_threshold_quantile 0.5

The same command goes on where a stopped run was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.cli import run


def main(argv: Sequence[str] | None = None) -> int:
    def command() -> int:
        from sample_factory_ext.train import train

        return train(argv)

    return run(command)


if __name__ == "__main__":
    sys.exit(main())

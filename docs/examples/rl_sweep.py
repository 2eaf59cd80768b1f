"""Seeds × tasks for Sample Factory's launcher; docs/launcher.md.

    python -m sample_factory.launcher.run --run=docs.examples.rl_sweep --backend=processes \\
        --max_parallel=2 --train_dir=train_dir/sweeps

``OPTIONS`` in the environment is added to each command, and overrides what is given here.
"""

import os

from sample_factory.launcher.run_description import Experiment, ParamGrid, RunDescription

# The weight of the task's reward: 0.1 for the score, 10 for tasks with a success.
TASKS = [
    ("NetHackScore-v1", 0.1),
    ("NetHackStaircase-v1", 10.0),
    ("NetHackStaircaseLvl3-v1", 10.0),
    ("NetHackStaircaseLvl4-v1", 10.0),
    ("NetHackOracle-v1", 10.0),
]
SEEDS = [777, 778, 779, 780, 781]

COMMAND = (
    "python -m scripts.main --algo APPO --num_workers 24 --num_envs_per_worker 16 "
    "--batch_size 4096 --reward_scale 0.1 --obs_scale 255.0 --train_for_env_steps 2_000_000_000 "
    "--save_every_steps 10_000_000 --keep_checkpoints 5 --stats_avg 1000 --llm_reward 0.1 "
    "--reward_dir train_dir/reward_saving_dir/standard_reward"
)

grid = ParamGrid([(("root_env", "extrinsic_reward"), TASKS), ("seed", SEEDS)])
command = " ".join([COMMAND, *os.environ.get("OPTIONS", "").split()])
RUN_DESCRIPTION = RunDescription(
    "motif", [Experiment("motif", command, grid.generate_params(randomize=False))]
)

"""Make a folder to ship of a reward run or an RL run: weights, settings, origin, figures.

    python -m scripts.export_model --run train_dir/reward_saving_dir/standard_reward \\
        --dataset_dir motif_dataset --output models/reward_defaultgoal

    python -m scripts.export_model --run train_dir/rl_saving_dir/standard_motif \\
        --reward_dir models/reward_defaultgoal --output models/policy_score

A reward model is evaluated on the way, as by scripts.evaluate_reward.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.cli import command, parse_config, run
from motif.errors import CheckpointError, ConfigError
from motif.exported_model import Description, ExportConfig, export_model, portable
from motif.reward.checkpoint import find_checkpoint, read_checkpoint
from motif.reward.config import given_flags
from motif.reward.held_out import EvaluationConfig
from scripts.evaluate_reward import evaluate_reward


def describe_reward(config: ExportConfig) -> Description:
    """The last checkpoint of a reward run, what made it and how good it is."""
    if config.half_precision:
        raise ConfigError("--half_precision is for policies: a reward's threshold is exact")
    path = find_checkpoint(config.run)
    content = read_checkpoint(path)
    if content["optimizer"] is None:
        raise CheckpointError(
            f"{path} was imported and holds nothing but the model already; use its folder as it is"
        )
    settings = content["config"]
    settings |= {name: portable(settings[name]) for name in ("dataset_dir", "train_dir")}
    figures = evaluate_reward(EvaluationConfig(str(config.run), config.dataset_dir))
    origin = {name: settings[name] for name in ("seed", "annotator")}
    origin |= {"kind": "reward", "command": command("reward", **given_flags(settings))}
    origin |= {"epochs": content["epoch"], "dataset": figures["dataset"], "figures": figures}
    use = f"use it: {command('agent', llm_reward=0.1, reward_dir=config.output)} …"
    return Description(path, settings, origin, use)


def describe_policy(config: ExportConfig) -> Description:
    """The same of an RL run."""
    from sample_factory_ext.export import describe_policy

    return describe_policy(config)


def main(argv: Sequence[str] | None = None) -> int:
    kinds = {"cfg.json": describe_reward, "config.json": describe_policy}
    return run(lambda: export_model(parse_config(ExportConfig, argv, __doc__), kinds))


if __name__ == "__main__":
    sys.exit(main())

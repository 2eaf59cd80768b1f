"""Make a folder to ship of a reward run or an RL run: weights, settings, origin, figures.

    python -m scripts.export_model --run train_dir/reward_saving_dir/standard_reward \\
        --dataset_dir motif_dataset --output models/reward_defaultgoal

    python -m scripts.export_model --run train_dir/rl_saving_dir/standard_motif \\
        --reward_dir models/reward_defaultgoal --output models/policy_score

A reward model is evaluated on the way, as by scripts.evaluate_reward. Use the folders as those of a
run: ``--reward_dir models/reward_defaultgoal`` for scripts.main, ``--train_dir models --experiment
policy_score`` for scripts.visualize.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motif.cli import command, option, parse_config, run
from motif.errors import CheckpointError, ConfigError
from motif.exported_model import current_commit, exported_folder, write_model_file
from motif.reward.checkpoint import load_reward_model
from motif.reward.export import export_reward
from scripts.evaluate_reward import EvaluationConfig, evaluate_reward


@dataclass(frozen=True)
class ExportConfig:
    """What to export, and where to."""

    run: Path = option(Path("train_dir/reward_saving_dir/standard_reward"), "folder of the run")
    output: Path = option(Path("models/reward_defaultgoal"), "folder of the exported model")
    dataset_dir: str = option("motif_dataset", "reward run: the dataset it was trained on")
    reward_dir: str = option("", "RL run: the exported reward model that it was trained with")
    half_precision: bool = option(False, "RL run: store float16, half the size")

    def __post_init__(self) -> None:
        if Path(self.reward_dir).is_absolute():
            raise ConfigError(
                f"--reward_dir {self.reward_dir}: give it relative to the folder that commands are "
                "started in, as models/NAME; the exported policy remembers it"
            )


def export_model(config: ExportConfig) -> None:
    """Export whichever kind of run ``config.run`` is.

    Raises:
        MotifError: it is none, or a part of it is missing or damaged.
    """
    with exported_folder(config.output) as folder:
        if (config.run / "cfg.json").is_file():
            content = _reward(config, folder)
        elif (config.run / "config.json").is_file():
            content = _policy(config, folder)
        else:
            raise CheckpointError(
                f"{config.run} is no run: neither cfg.json (of scripts.train_reward) nor "
                "config.json (of scripts.main) is in it"
            )
        write_model_file(folder, {**content, "exported_at_commit": current_commit()})
    size = sum(path.stat().st_size for path in config.output.rglob("*") if path.is_file())
    print(f"{config.output}: {size / 1e6:.2f} MB")
    where = config.output
    if content["kind"] == "reward":
        print(f"use it: {command('agent', llm_reward=0.1, reward_dir=where)} …")
    else:
        print(f"watch it: {command('watch', train_dir=where.parent, experiment=where.name)}")


def _reward(config: ExportConfig, folder: Path) -> dict[str, Any]:
    if config.half_precision:
        raise ConfigError(
            "--half_precision is for policies: a reward's threshold is compared exactly"
        )
    content = export_reward(config.run, folder)
    # Measured on the exported files themselves.
    figures = evaluate_reward(EvaluationConfig(str(folder), config.dataset_dir))
    return {**content, "dataset": figures["dataset"], "figures": figures}


def _policy(config: ExportConfig, folder: Path) -> dict[str, Any]:
    from sample_factory_ext.export import export_policy

    if config.reward_dir:
        load_reward_model(config.reward_dir)
    return export_policy(
        config.run, folder, reward_dir=config.reward_dir, half_precision=config.half_precision
    )


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(ExportConfig, argv, __doc__)
    return run(lambda: export_model(config))


if __name__ == "__main__":
    sys.exit(main())

"""How well a reward model agrees with its labels, on the pairs that its training left out.

    python -m scripts.evaluate_reward --reward_dir train_dir/reward_saving_dir/standard_reward \\
        --dataset_dir motif_dataset

The held-out pairs are those of the run's own split. ``--annotator`` compares with another label set
of the same dataset. With labels made by the shipped rules, the rewards of all distinct messages are
correlated with what the rules say that each is worth.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motif.annotate.rules import RulesAnnotator
from motif.atomic_write import write_json
from motif.cli import option, parse_config, run
from motif.errors import ConfigError
from motif.preference.label_set import label_source
from motif.results.report import rank_messages
from motif.reward.checkpoint import load_reward_model
from motif.reward.held_out import HeldOutResult, evaluate_held_out
from motif.reward.statistics import rank_correlation
from motif.types import AnyArray, MessageArray


@dataclass(frozen=True)
class EvaluationConfig:
    """What to compare with what."""

    reward_dir: str = option("train_dir/reward_saving_dir/standard_reward", "run of the reward")
    dataset_dir: str = option("motif_dataset", "the dataset it was trained on")
    annotator: str | None = option(None, "another label set than the one it was trained on")
    checkpoint_num: int = option(0, "iteration of the checkpoint; 0: the last one")
    most: int = option(10, "how many of the best and of the worst messages to list")
    output: Path | None = option(None, "also write everything as JSON into this file")

    def __post_init__(self) -> None:
        if self.most < 0:
            raise ConfigError(f"--most {self.most}: it must be 0 or more")


def evaluate_reward(config: EvaluationConfig) -> dict[str, Any]:
    """All figures, as JSON; None where there was nothing to measure.

    Raises:
        MotifError: the model or the dataset is missing, damaged, or they don't belong together.
    """
    reward = load_reward_model(config.reward_dir, config.checkpoint_num)
    result = evaluate_held_out(reward, config.dataset_dir, config.annotator)
    best, worst = rank_messages(result.messages_UC, result.rewards_U, config.most)
    return {
        "checkpoint": reward.path.name,
        "trained_on": reward.config["annotator"],
        "annotator": result.annotator,
        "dataset": result.dataset.fingerprint,
        "seed": reward.config["seed"],
        "held_out_pairs": result.held_out,
        "preference_pairs": result.all.pairs,
        "accuracy": result.all.accuracy,
        "unseen_pairs": result.unseen.pairs,
        "unseen_accuracy": result.unseen.accuracy,
        "distinct_messages": len(result.messages_UC),
        "unseen_messages": int(result.unseen_U.sum()),
        **_correlations(result),
        "best": [list(row) for row in best],
        "worst": [list(row) for row in worst],
    }


def _correlations(result: HeldOutResult) -> dict[str, float | None]:
    rules = _rules_of(result)
    if rules is None:
        return {"spearman": None, "unseen_spearman": None}
    values_U, unseen_U = rules(result.messages_UC), result.unseen_U
    return {
        "spearman": rank_correlation(result.rewards_U, values_U),
        "unseen_spearman": rank_correlation(result.rewards_U[unseen_U], values_U[unseen_U]),
    }


def _rules_of(result: HeldOutResult) -> Callable[[MessageArray], AnyArray] | None:
    """What the rules say of messages; None if other rules, or no rules, made the labels."""
    source = label_source(result.dataset, result.annotator)
    if source.get("type") != "rules":
        return None
    annotator = RulesAnnotator(source["goal"])
    return annotator.values if annotator.source == source else None


def table(figures: dict[str, Any]) -> str:
    """The figures for reading."""
    lines = [
        f"{figures['checkpoint']}, trained on {figures['trained_on']}, compared with "
        f"{figures['annotator']}",
        "",
        f"{'held-out pairs':36}{figures['held_out_pairs']:>8,}",
        _row("  with a preference", figures["preference_pairs"], "accuracy", figures["accuracy"]),
        _row(
            "    and a message unseen in training",
            figures["unseen_pairs"],
            "accuracy",
            figures["unseen_accuracy"],
        ),
        _row("distinct messages", figures["distinct_messages"], "Spearman", figures["spearman"]),
        _row(
            "  unseen in training",
            figures["unseen_messages"],
            "Spearman",
            figures["unseen_spearman"],
        ),
    ]
    for name in ("best", "worst"):
        lines += ["", f"{name} messages, normalised reward"]
        lines += [f"{reward:+8.2f}  {text}" for text, reward in figures[name]]
    return "\n".join(lines)


def _row(what: str, count: int, measure: str, value: float | None) -> str:
    shown = "-" if value is None else f"{value:.1%}" if measure == "accuracy" else f"{value:.3f}"
    return f"{what:36}{count:>8,}   {measure} {shown}"


def print_evaluation(config: EvaluationConfig) -> None:
    """Print the table; write the JSON if asked."""
    figures = evaluate_reward(config)
    print(table(figures))
    if config.output:
        write_json(config.output, figures)
        print(f"\nwritten to {config.output}")


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(EvaluationConfig, argv, __doc__)
    return run(lambda: print_evaluation(config))


if __name__ == "__main__":
    sys.exit(main())

"""How well a reward model agrees with its labels, on the pairs that its training left out.

    python -m scripts.evaluate_reward --reward_dir train_dir/reward_saving_dir/standard_reward \\
        --dataset_dir motif_dataset

The held-out pairs are those of the run's own split. ``--annotator`` compares with another label set
of the same dataset. With labels made by the game's own rules, the rewards of all distinct messages
are correlated with what the rules say that each is worth.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from motif.annotate.rules import RulesAnnotator
from motif.atomic_write import write_json
from motif.cli import parse_config, run
from motif.data_files import sha256
from motif.device import resolve_device
from motif.games.game import find_game
from motif.pairs_dataset import read_provenance
from motif.preference.label_set import label_source
from motif.results.report import rank_messages
from motif.reward.checkpoint import load_reward_model
from motif.reward.held_out import EvaluationConfig, evaluate_held_out, figures_table


def evaluate_reward(config: EvaluationConfig) -> dict[str, Any]:
    """All figures, as JSON; None where there was nothing to measure."""
    device = resolve_device(config.device)
    reward = load_reward_model(config.reward_dir, config.checkpoint_num, device)
    result = evaluate_held_out(reward, config.dataset_dir, config.annotator)
    best, worst = rank_messages(result.messages_UC, result.rewards_U, config.most)
    source = label_source(result.dataset, result.annotator)
    values = None
    if source.get("type") == "rules":
        made = read_provenance(result.dataset.directory).get("settings", {})
        rules = find_game(made.get("game", "nethack")).rules
        if sha256(rules) == source.get("rules_sha256"):  # else a --rules-file made the labels
            values = RulesAnnotator(source["goal"], rules).values
    return result.figures(best, worst, values)


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(EvaluationConfig, argv, __doc__)

    def command() -> None:
        figures = evaluate_reward(config)
        print(figures_table(figures))
        if config.output:
            write_json(config.output, figures)
            print(f"\nwritten to {config.output}")

    return run(command)


if __name__ == "__main__":
    sys.exit(main())

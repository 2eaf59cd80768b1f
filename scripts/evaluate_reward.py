"""How well a reward model agrees with its labels, on the pairs that its training left out.

    python -m scripts.evaluate_reward --reward_dir RUN --dataset_dir motif_dataset

The held-out pairs are those of the run's own split; ``--annotator`` takes other labels of them. The
judged pairs are those of scripts.evaluate_annotator: no player disputes their order.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from motif.annotate.judges import judged_accuracy
from motif.annotate.rules import worth_by_rules
from motif.atomic_write import write_json
from motif.cli import parse_config, run
from motif.device import resolve_device
from motif.drawing import save_picture
from motif.games.game import find_game
from motif.pairs_dataset import ORIGIN, origin
from motif.preference.label_set import label_source
from motif.results.calibration import calibration_figure
from motif.results.report import rank_messages
from motif.reward.checkpoint import load_reward_model
from motif.reward.held_out import EvaluationConfig, evaluate_held_out, figures_table


def evaluate_reward(config: EvaluationConfig) -> dict[str, Any]:
    """All figures, as JSON; None where there was nothing to measure."""
    device = resolve_device(config.device)
    reward = load_reward_model(config.reward_dir, config.checkpoint_num, device)
    result = evaluate_held_out(reward, config.dataset_dir, config.annotator)
    game = find_game((ORIGIN | origin(result.dataset.directory))["game"])
    source = label_source(result.dataset, result.annotator)
    best, worst = rank_messages(result.messages_UC, result.rewards_U, config.most)
    doubtful, _ = rank_messages(result.messages_UC, result.doubts_U, config.most)
    figures = result.figures(best, worst, worth_by_rules(source, game.rules), doubtful)
    judges, goal = getattr(game, "judges", None), source.get("goal")
    return figures | judged_accuracy(reward.score, judges, goal)


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(EvaluationConfig, argv, __doc__)

    def command() -> None:
        figures = evaluate_reward(config)
        print(figures_table(figures))
        if config.output:
            write_json(config.output, figures)
            print(f"\nwritten to {config.output}")
        if path := config.picture:
            print(f"\ndrawn: {save_picture(path, calibration_figure(figures), path.suffix[1:])}")

    return run(command)


if __name__ == "__main__":
    sys.exit(main())

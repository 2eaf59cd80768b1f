"""How well a reward model agrees with its labels, on the pairs that its training left out.

    python -m scripts.evaluate_reward --reward_dir train_dir/reward_saving_dir/standard_reward \\
        --dataset_dir motif_dataset

The held-out pairs are those of the run's own split. ``--annotator`` compares with another label set
of the same dataset. With labels made by the game's own rules, the rewards of all distinct messages
are correlated with what the rules say that each is worth. "Judged pairs" are those that
scripts.evaluate_annotator asks about: pairs of messages whose order no player disputes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motif.annotate.judges import draw_judged_pairs
from motif.annotate.rules import RulesAnnotator
from motif.atomic_write import write_json
from motif.cli import parse_config, run
from motif.data_files import sha256
from motif.device import resolve_device
from motif.drawing import save_picture
from motif.games.game import find_game
from motif.messages import encode
from motif.pairs_dataset import ORIGIN, origin
from motif.preference.label_set import label_source
from motif.results.calibration import calibration_figure
from motif.results.report import rank_messages
from motif.reward.checkpoint import LoadedReward, load_reward_model
from motif.reward.held_out import EvaluationConfig, evaluate_held_out, figures_table

JUDGED = 200  # pairs, as scripts.evaluate_annotator asks about


def evaluate_reward(config: EvaluationConfig) -> dict[str, Any]:
    """All figures, as JSON; None where there was nothing to measure."""
    device = resolve_device(config.device)
    reward = load_reward_model(config.reward_dir, config.checkpoint_num, device)
    result = evaluate_held_out(reward, config.dataset_dir, config.annotator)
    best, worst = rank_messages(result.messages_UC, result.rewards_U, config.most)
    source = label_source(result.dataset, result.annotator)
    game = find_game((ORIGIN | origin(result.dataset.directory))["game"])
    values = None
    if source.get("type") == "rules" and sha256(game.rules) == source.get("rules_sha256"):
        values = RulesAnnotator(source["goal"], game.rules).values  # not of a --rules-file
    doubtful: Sequence[tuple[str, float]] = ()
    if reward.model.head.out_features > 1:
        doubtful, _ = rank_messages(result.messages_UC, result.doubts_U, config.most)
    figures = result.figures(best, worst, values, doubtful)
    return figures | judged(reward, getattr(game, "judges", None), source.get("goal"))


def judged(reward: LoadedReward, judges: Path | None, goal: str | None) -> dict[str, Any]:
    """How the reward orders the pairs that no player disputes; none where the goal has none."""
    if judges is None or goal is None:
        return {"judged_pairs": 0, "judged_accuracy": None}
    pairs = draw_judged_pairs(judges, goal, JUDGED)
    better, worse = (
        reward.score(np.stack([encode(text) for text in texts]))
        for texts in zip(*((pair.better, pair.worse) for pair in pairs))
    )
    right = (better > worse) + 0.5 * (better == worse)
    return {"judged_pairs": len(pairs), "judged_accuracy": float(right.mean())}


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(EvaluationConfig, argv, __doc__)

    def command() -> None:
        figures = evaluate_reward(config)
        print(figures_table(figures))
        if config.output:
            write_json(config.output, figures)
            print(f"\nwritten to {config.output}")
        if config.picture:
            figure = calibration_figure(figures)
            print(f"\ndrawn: {save_picture(config.picture, figure, config.picture.suffix[1:])}")

    return run(command)


if __name__ == "__main__":
    sys.exit(main())

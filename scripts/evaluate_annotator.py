"""Test a judge on pairs of messages with an answer that no player disputes, in both orders.

python -m scripts.evaluate_annotator --annotator-type rules --goal-key gold

python -m scripts.evaluate_annotator --model MODEL --answer-mode direct --prompt-version short \\
    --output judge.json

It takes the flags of scripts.annotate_pairs_dataset that say who judges, and asks in the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.annotate.evaluate import EvaluationConfig, evaluate
from motif.cli import parse_config, run


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(EvaluationConfig, argv, __doc__)
    return run(lambda: evaluate(config))


if __name__ == "__main__":
    sys.exit(main())

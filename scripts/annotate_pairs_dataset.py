"""Stage 1: label the pairs of a dataset, by a language model, rules or the game itself.

python -m scripts.annotate_pairs_dataset --directory motif_dataset --annotator-type rules

python -m scripts.annotate_pairs_dataset --directory motif_dataset \\
    --prompt-version default --goal-key defaultgoal \\
    --n-annotation-chunks 1 --chunk-number 0 --llm-size 70 --num-gpus 8
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.annotate.config import AnnotationConfig
from motif.annotate.stage import annotate
from motif.cli import parse_config, run


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(AnnotationConfig, argv, __doc__)
    return run(lambda: annotate(config))


if __name__ == "__main__":
    sys.exit(main())

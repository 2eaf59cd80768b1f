"""Stage 1: label the pairs of a dataset, by a language model, rules or the game itself.

python -m scripts.annotate_pairs_dataset --directory motif_dataset --annotator-type rules

python -m scripts.annotate_pairs_dataset --directory motif_dataset \\
    --prompt-version default --goal-key defaultgoal \\
    --n-annotation-chunks 1 --chunk-number 0 --llm-size 70 --num-gpus 8

python -m scripts.annotate_pairs_dataset --directory motif_dataset --annotator-type rules \\
    --select uncertain --budget 2000 --reward_dir train_dir/reward_saving_dir/ensemble
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.annotate.config import AnnotationConfig
from motif.annotate.stage import annotate
from motif.cli import parse_config, run
from motif.pairs_dataset import PairsDataset
from motif.types import AnyArray


def ensemble_doubts(config: AnnotationConfig, pairs: PairsDataset) -> AnyArray:
    """How far the heads of ``--reward_dir`` differ on each pair (N,)."""
    from motif.reward.uncertain import pair_doubts  # torch is for this alone

    assert config.reward_dir is not None
    return pair_doubts(config.reward_dir, pairs)


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(AnnotationConfig, argv, __doc__)
    return run(lambda: annotate(config, ensemble_doubts))


if __name__ == "__main__":
    sys.exit(main())

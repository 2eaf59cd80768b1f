"""Write a label set as training data for other libraries, as TRL's RewardTrainer reads it.

python -m scripts.export_preferences --directory motif_dataset \\
    --annotator rules_msg_defaultgoal --output preferences.jsonl
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.annotate.export import PreferenceExportConfig, export_preferences
from motif.cli import parse_config, run


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(PreferenceExportConfig, argv, __doc__)
    return run(lambda: export_preferences(config))


if __name__ == "__main__":
    sys.exit(main())

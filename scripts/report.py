"""One page on a run: how the agent learnt, what its reward likes, and whether it is being hacked.

    python -m scripts.report --run train_dir/rl_saving_dir/standard_motif --play 5

writes ``report.html`` into the run folder: one file, opened without a network. ``--play 5`` plays
five games with each of up to five checkpoints of the run (a minute or two), to see which messages
paid the agent early and late; what it counts is kept, so a later report needs it no more.
``--compare`` draws other runs beside it; ``--reward_dir A B C`` puts reward models side by side.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.cli import parse_config, run
from motif.results.income import Income
from motif.results.run_report import ReportConfig, write_report


def play(config: ReportConfig) -> list[Income]:
    """Play with policies of the run, which takes Sample Factory."""
    from sample_factory_ext.income import play_for_income

    return play_for_income(
        config.run,
        games=config.play,
        policies=config.policies,
        reward_dir=config.reward_dir[0] if config.reward_dir else None,
        device=config.device,
    )


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(ReportConfig, argv, __doc__)
    return run(lambda: print(f"written to {write_report(config, play)}; open it in a browser"))


if __name__ == "__main__":
    sys.exit(main())

"""Play many games with trained agents, the same for all of them, and compare what comes of it.

    python -m scripts.evaluate train_dir/rl_saving_dir/standard_motif
    python -m scripts.evaluate models/policy_score random explorer --games 400 --output build/score

A player is a run folder, RUN@STEPS for an earlier policy of it, or a scripted player (random,
explorer). The terminal, evaluation.json and evaluation.png have mean, median, quartiles and 95 %
intervals of the score, the deepest level, experience level, gold, turns, kills, BALROG's
progression, and why games ended; with several players, each one's difference from the first over
the same games. games.csv has a row a game. The same command goes on after an interruption, and
plays only what is missing after more --games or players.

NetHack reads the clock (moon, Friday the 13th): to get the same games on another day, start with
faketime '2024-06-15 12:00:00' (with -f, which stops the clock, the processes would
wait for ever). The number of --workers does not matter.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.cli import parse_config, run
from motif.play.evaluation import EvaluationConfig, evaluate
from motif.processes import guarded


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(EvaluationConfig, argv, __doc__)

    def command() -> None:
        from sample_factory_ext.player import load_player, task_of

        with guarded():
            evaluate(config, config.task or task_of(config.players, config.game), load_player)

    return run(command)


if __name__ == "__main__":
    sys.exit(main())

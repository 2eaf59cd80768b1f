"""Stage 4: watch a trained agent play, with the intrinsic reward of what it reads.

    python -m scripts.visualize --train_dir train_dir/rl_saving_dir --experiment standard_motif

Each step shows the game's reward, the return so far and the normalised reward of the message; each
episode ends with its 100 most frequent messages. Without a terminal nothing waits for a key.

    --record DIR        a replay of each episode to open in a browser, and NLE's own ttyrec
    --gif FILE          the first steps as a film
    --stats FILE        returns, score, depth, gold, level, turns, success rate as JSON
    --task NAME         the agent on another task than its own
    --render False      no picture in the terminal

Sample Factory's flags for evaluation (--no_render, --save_video …) are taken, or explained.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.cli import parse_config, run


def main(argv: Sequence[str] | None = None) -> int:
    def command() -> None:
        from sample_factory_ext.playback import PlaybackConfig, play

        play(parse_config(PlaybackConfig, argv, __doc__))

    return run(command)


if __name__ == "__main__":
    sys.exit(main())

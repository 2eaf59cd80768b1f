"""What a frame of training costs, by process, against the plain path.

    python -m benchmarks.rl_throughput

Trains asynchronously, in turn:

- ``reward_on``: scripts.main with the intrinsic reward (an untrained reward model: as fast as a
  trained one);
- ``reward_off``: without it;
- ``counts``, ``rnd``, ``noveld``, ``e3b``, where asked for: as ``reward_off``, with that bonus;
- ``online``: a reward that is learnt while training, as a ranking, with the rules for a judge;
- ``compact``: as ``reward_on``, with the compact policy in the place of the paper's;
- ``plain``: benchmarks.plain_path, which draws in the environment and scores every message.

CPU milliseconds of each process are counted from the first report after the warm-up to the last;
medians over the rounds, ratios round by round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.report import report
from benchmarks.training_run import measure, untrained_reward_model

SETTINGS = "--num_workers 2 --num_envs_per_worker 32 --batch_size 2048 --reward_scale 0.1"
SETTINGS += " --obs_scale 255.0 --extrinsic_reward 0.1 --decorrelate_experience_max_seconds 1"
COMPACT = "--encoder_custom nle_compact_encoder --hidden_size 256"
ONLINE = "--online ranking --annotator-type rules --llm_reward 0.1"
VARIANTS = ("reward_on", "reward_off", "compact", "plain")
BONUSES = ("counts", "rnd", "noveld", "e3b")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--variants", nargs="+", choices=(*VARIANTS, "online", *BONUSES), default=VARIANTS
    )
    parser.add_argument("--rounds", type=int, default=5, help="alternations")
    parser.add_argument("--frames", type=int, default=30_000, help="of one run")
    parser.add_argument("--flags", default="", help="further flags of scripts.main")
    arguments = parser.parse_args(argv)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.variants}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reward = untrained_reward_model(folder)
        for number in range(arguments.rounds):
            for name in arguments.variants:
                flags = f"{SETTINGS} {arguments.flags} "
                unpaid = name == "reward_off" or name in BONUSES
                flags += "--llm_reward 0.0" if unpaid else ONLINE if name == "online" else reward
                flags += f" --bonus {name} --bonus_reward 0.1" if name in BONUSES else ""
                flags += f" {COMPACT}" if name == "compact" else ""
                module = "benchmarks.plain_path" if name == "plain" else "scripts.main"
                run = measure(folder, f"{name}_{number}", flags, arguments.frames, module)
                runs[name].append(run)
                print(name, {key: round(value, 3) for key, value in run.items()}, flush=True)
    figures = {
        f"{name}_{key}": round(median(run[key] for run in runs[name]), 3)
        for name in runs
        for key in runs[name][0]
    }
    settings = {"settings": SETTINGS, **vars(arguments)}
    report("rl_throughput", {**settings, **figures}, _ratios(runs))
    return 0


def _ratios(runs: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """CPU time a frame of the other variants, as multiples of that with the reward on, or off."""
    base = "reward_on" if "reward_on" in runs else "reward_off"
    return {
        f"{name}_to_{base}": round(
            median(b["total"] / a["total"] for a, b in zip(runs[base], others)), 3
        )
        for name, others in runs.items()
        if name != base and base in runs
    }


if __name__ == "__main__":
    sys.exit(main())

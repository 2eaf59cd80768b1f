"""How far a reward that was learnt while an agent trained is that of labels made beforehand.

    python -m benchmarks.online_agreement train_dir/score_online

Of the messages that the run met: all pairs of which the game's rules prefer one, and the share that
each reward orders as the rules do, and both alike; and, weighted by how often each message was met,
the share of steps of which both rewards say alike whether they lie above their median thresholds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import report
from motif.annotate.rules import RulesAnnotator
from motif.online.labeller import MET
from motif.reward.checkpoint import load_reward_model


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of scripts.main --online ranking")
    parser.add_argument("--reward_dir", default="models/reward_defaultgoal", help="the other one")
    parser.add_argument("--goal", default="defaultgoal", help="of the rules")
    arguments = parser.parse_args(argv)
    met = torch.load(arguments.run / "online" / MET, weights_only=True)
    messages, counts = met["messages"].numpy(), met["counts"].numpy()
    rules = RulesAnnotator(arguments.goal).values(messages)
    one, other = np.triu_indices(len(messages), 1)
    preferred = rules[one] != rules[other]
    one, other = one[preferred], other[preferred]
    order = {"rules": rules[one] > rules[other]}
    paid = {}
    folders = {"online": arguments.run / "online" / "reward", "other": arguments.reward_dir}
    for name, folder in folders.items():
        reward = load_reward_model(folder)
        scores = reward.score(messages)
        order[name] = scores[one] > scores[other]
        paid[name] = scores > reward.threshold(0.5)
    alike = np.average(paid["online"] == paid["other"], weights=counts)
    ratios = {
        "online_as_rules": float((order["online"] == order["rules"]).mean()),
        "other_as_rules": float((order["other"] == order["rules"]).mean()),
        "online_as_other": float((order["online"] == order["other"]).mean()),
        "steps_paid_alike": float(alike),
    }
    figures = {"messages": len(messages), "pairs": len(one), "steps": int(counts.sum())}
    report("online_agreement", figures, ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What choosing labels saves, and what an ensemble does about wrong ones, by held-out agreement.

    python -m scripts.unpack_dataset
    python -m benchmarks.chosen_labels --dataset motif_dataset --seeds 1 2

``choosing``: rounds of labels (the rules'), each twice as many as before. The first is drawn
uniformly; from then on ``uncertain`` adds the pairs that the heads of the round's own ensemble
disagree on most, ``uniform`` any. Each round trains anew, both ways with as many steps.
``flipping``: some share of the preferences in the training pairs is turned round, and one head is
compared with five. A fifth of all pairs is held out, the same for all of a seed; its labels are
never chosen, and never flipped.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.report import report
from motif.preference.labels import Preference
from motif.reward.checkpoint import ROWS_AT_ONCE
from motif.reward.encoder import EncoderSettings
from motif.reward.ensemble import bootstrap_counts
from motif.reward.losses import count_agreements, targets_from_labels
from motif.reward.model import RewardModel, make_reward_model, side_scores
from motif.reward.training import train_step
from motif.reward.training_data import TrainingData, load_training_data
from motif.reward.uncertain import first_doubts

ENOUGH = 0.99  # held-out agreement
HEADS, BATCH, RATE = 5, 128, 1e-3
EPOCHS, FEWEST, MOST = 8, 300, 600  # steps: of so many epochs, but within bounds
Agreements = dict[str, dict[str, list[float]]]  # by way, by labels or share: a value a seed


def train(data: TrainingData, rows: Tensor, heads: int, seed: int, steps: int) -> RewardModel:
    """A model from the pairs ``rows``, as by scripts.train_reward; 0 steps: as many as fit."""
    settings, counts_NK = EncoderSettings(encoder_msg_model="lt_cnn_small"), None
    model = make_reward_model(settings, seed=seed, heads=heads)
    if heads > 1:
        counts_NK = torch.zeros(len(data.labels_N), heads)
        counts_NK[rows] = torch.from_numpy(bootstrap_counts(len(rows), heads, seed)).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    steps = steps or min(max(EPOCHS * len(rows) // BATCH, FEWEST), MOST)
    done = epoch = 0
    while done < steps:
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(rows)))
        for rows_B in torch.split(rows[order], BATCH)[: steps - done]:
            train_step(model, optimizer, data, rows_B, counts_NK)
            done += 1
        epoch += 1
    return model


@torch.inference_mode()
def all_heads(model: RewardModel, data: TrainingData) -> Tensor:
    """What each head says of each distinct message (U, K)."""
    blocks = torch.split(data.messages_UC, ROWS_AT_ONCE)
    return torch.cat([model.heads(block) for block in blocks])


def held_out_agreement(heads_UK: Tensor, data: TrainingData) -> float:
    """The share of held-out preferences that the heads' mean orders as their labels do."""
    scores_BP = side_scores(heads_UK.mean(-1)[data.index_NPT[data.validation]])
    agreeing, preferred = count_agreements(scores_BP, data.labels_N[data.validation])
    return (agreeing / preferred).item()


def choosing(
    data: TrainingData, seed: int, budgets: Sequence[int], steps: int, found: Agreements
) -> None:
    """Both ways of choosing, from one first round."""

    def learn(chosen: NDArray[np.bool_]) -> Tensor:
        return all_heads(train(data, data.train[chosen], HEADS, seed, steps), data)

    rng, index_NPT = np.random.default_rng(seed), data.index_NPT[data.train].numpy()
    start = most_urgent(rng.random(len(index_NPT)), budgets[0])
    first_UK = learn(start)
    for way in ("uniform", "uncertain"):
        chosen, heads_UK = start, first_UK
        for budget in budgets:
            if budget > budgets[0]:
                uncertain = way == "uncertain"
                urgency = (
                    first_doubts(heads_UK, index_NPT) if uncertain else rng.random(len(chosen))
                )
                urgency[chosen] = np.inf
                chosen = most_urgent(urgency, budget)
                heads_UK = learn(chosen)
            ties = (data.labels_N[data.train[chosen]] == Preference.TIE).float().mean().item()
            note(found, way, budget, held_out_agreement(heads_UK, data), f"ties {ties:.1%}")


def most_urgent(urgency: NDArray[np.floating], budget: int) -> NDArray[np.bool_]:
    """Which ``budget`` pairs come first."""
    chosen = np.zeros(len(urgency), bool)
    chosen[np.argsort(-urgency, kind="stable")[:budget]] = True
    return chosen


def flipping(data: TrainingData, seed: int, labels: int, steps: int, found: Agreements) -> None:
    """One head and several, of labels of which a share is wrong."""
    rng = np.random.default_rng(seed)
    rows = data.train[torch.from_numpy(rng.permutation(len(data.train))[:labels])]
    drawn = torch.from_numpy(rng.random(len(data.labels_N)))
    for share in (0.0, 0.1, 0.2, 0.3, 0.4):
        turned_N = (drawn < share) & (data.labels_N != Preference.TIE)
        flipped_N = torch.where(turned_N, 1 - data.labels_N, data.labels_N)
        wrong = replace(data, labels_N=flipped_N, targets_NP=targets_from_labels(flipped_N))
        for heads in (1, HEADS):
            heads_UK = all_heads(train(wrong, rows, heads, seed, steps), data)
            name = f"{heads} head{'s' * (heads > 1)}"
            note(found, name, f"{share:.0%}", held_out_agreement(heads_UK, data))


def note(found: Agreements, way: str, of: object, agreement: float, more: str = "") -> None:
    """Keep and print one figure."""
    found.setdefault(way, {}).setdefault(str(of), []).append(round(agreement, 4))
    print(f"{way:10}{of!s:>8}   {agreement:.2%}   {more}", flush=True)


def labels_needed(by_budget: dict[str, list[float]]) -> float | None:
    """Labels for ENOUGH by the mean over seeds, log-linear between rounds; None: not reached."""
    budgets, means = [int(budget) for budget in by_budget], [*map(np.mean, by_budget.values())]
    for number, mean in enumerate(means):
        if mean >= ENOUGH:
            part = slice(max(number - 1, 0), number + 1)
            return float(np.exp(np.interp(ENOUGH, means[part], np.log(budgets[part]))))
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, default=Path("motif_dataset"))
    parser.add_argument("--annotator", default="rules_msg_defaultgoal")
    parser.add_argument("--parts", nargs="+", default=["choosing", "flipping"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--budgets", type=int, nargs="+", default=[1000, 2000, 4000, 8000, 16000])
    parser.add_argument("--labels", type=int, default=4000, help="of flipping")
    parser.add_argument("--steps", type=int, default=0, help="of each round; 0: by its labels")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    chosen: Agreements = {}
    flipped: Agreements = {}
    for seed in arguments.seeds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a set without provenance
            data = load_training_data(
                arguments.dataset,
                arguments.annotator,
                seed=seed,
                soft_labels=False,
                use_blstats=False,
            )
        if "choosing" in arguments.parts:
            choosing(data, seed, arguments.budgets, arguments.steps, chosen)
        if "flipping" in arguments.parts:
            flipping(data, seed, arguments.labels, arguments.steps, flipped)
    needed = {way: labels_needed(by_budget) for way, by_budget in chosen.items()}
    both = [needed.get(way) for way in ("uniform", "uncertain")]
    ratio = {"uncertain_labels_of_uniform": both[1] / both[0]} if both[0] and both[1] else {}
    report("chosen_labels", {"choosing": chosen, "needed": needed, "flipping": flipped}, ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())

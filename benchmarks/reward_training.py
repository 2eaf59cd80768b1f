"""How fast the reward model trains, against encoding every message of every pair.

    python -m benchmarks.reward_training

Three sizes of dataset. Rounds of both ways alternate, so that other load meets both; medians. The
plain way takes fewer steps a round: a step costs the same whatever the size of the dataset.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.report import report
from benchmarks.synthetic_pairs import write_pairs
from motif.reward.encoder import EncoderSettings
from motif.reward.losses import preference_loss
from motif.reward.model import RewardModel, make_reward_model
from motif.reward.training import train_step
from motif.reward.training_data import TrainingData, load_training_data

BATCH_SIZE = 1024
Step = Callable[[RewardModel, torch.optim.Optimizer, TrainingData, Tensor], object]


def plain_step(
    model: RewardModel, optimizer: torch.optim.Optimizer, data: TrainingData, rows_B: Tensor
) -> None:
    """The obvious way: all 2 · B messages through all 256 positions of the network."""
    messages_UC = data.messages_UC[data.index_NPT[rows_B]].flatten(0, 2)
    message = model.encoder.message
    features = message.embedding(messages_UC.long()).transpose(1, 2)
    for convolution, (_, pooled) in zip(message.convolutions, message.layers.convolutions):
        features = F.relu(convolution(features))
        features = F.max_pool1d(features, 3) if pooled else features
    features = features.flatten(1)
    for linear in message.linears:
        features = F.relu(linear(features))
    rewards_BP = model.head(F.relu(model.encoder(features, None))).view(len(rows_B), 2)
    loss = preference_loss(rewards_BP, data.targets_NP[rows_B])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


class Contestant:
    """One way of training, with a model of its own that goes on learning."""

    def __init__(self, step: Step, data: TrainingData) -> None:
        self.step, self.data = step, data
        self.model = make_reward_model(EncoderSettings(), seed=0).to(data.train.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-5)
        self.speeds: list[float] = []

    def run(self, steps: int, seed: int) -> None:
        """Some steps on random pairs; notes pairs/s."""
        generator = torch.Generator().manual_seed(seed)
        size = min(BATCH_SIZE, len(self.data.train))
        order = torch.rand(steps, len(self.data.train), generator=generator).argsort(dim=1)
        batches = self.data.train[order[:, :size].to(self.data.train.device)]
        start = time.perf_counter()
        for rows_B in batches:
            self.step(self.model, self.optimizer, self.data, rows_B)
        if batches.is_cuda:
            torch.cuda.synchronize()
        self.speeds.append(batches.numel() / (time.perf_counter() - start))

    @property
    def speed(self) -> float:
        """Median pairs/s of the rounds after the first, which warms up."""
        return statistics.median(self.speeds[1:])


def measure(pairs: int, rounds: int, steps: int, device: torch.device) -> dict[str, float]:
    """Pairs/s both ways on a dataset of ``pairs`` pairs."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        dataset = write_pairs(Path(folder), pairs)
        data = load_training_data(
            dataset.directory, "synthetic", seed=0, soft_labels=False, use_blstats=False
        ).to(device)
    ours, plain = Contestant(train_step, data), Contestant(plain_step, data)
    for number in range(rounds + 1):
        ours.run(steps * 10, number)
        plain.run(steps, number)
    spread = (max(ours.speeds[1:]) - min(ours.speeds[1:])) / ours.speed
    figures = {
        "pairs": pairs,
        "distinct_messages": len(data.messages_UC),
        "pairs_per_second": round(ours.speed, 1),
        "plain_pairs_per_second": round(plain.speed, 1),
        "spread": round(spread, 2),
    }
    print(figures, flush=True)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 20_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="plain steps a round; ours: ten times")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    results = {
        str(pairs): measure(pairs, arguments.rounds, arguments.steps, device)
        for pairs in arguments.sizes
    }
    ratios = {
        pairs: round(result["pairs_per_second"] / result["plain_pairs_per_second"], 2)
        for pairs, result in results.items()
    }
    report("reward_training", {"threads": arguments.threads, "by_size": results}, ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A trained reward model against labels of the pairs that its training left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from motif.cli import option
from motif.device import DeviceName
from motif.errors import CheckpointError, ConfigError
from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import load_preferences
from motif.reward.checkpoint import LoadedReward
from motif.reward.ensemble import disagreement, pessimistic, reliability, split_vote
from motif.reward.losses import agreements
from motif.reward.metrics import ratio
from motif.reward.model import side_scores
from motif.reward.statistics import normalise, rank_correlation
from motif.reward.training_data import TrainingData, load_training_data
from motif.types import AnyArray, MessageArray

Ranked = Sequence[tuple[str, float]]  # messages and their normalised reward


@dataclass(frozen=True)
class EvaluationConfig:
    """What ``scripts.evaluate_reward`` takes: what to compare with what."""

    reward_dir: str = option("train_dir/reward_saving_dir/standard_reward", "run of the reward")
    dataset_dir: str = option("motif_dataset", "the dataset it was trained on")
    annotator: str | None = option(None, "another label set than the one it was trained on")
    checkpoint_num: int = option(0, "iteration of the checkpoint; 0: the last one")
    device: DeviceName = option("auto", "that scores; auto is the GPU if there is one")
    most: int = option(10, "how many of the best and of the worst messages to list")
    output: Path | None = option(None, "also write everything as JSON into this file")
    picture: Path | None = option(None, "draw confidence and doubts into this .png or .pdf file")

    def __post_init__(self) -> None:
        if self.most < 0:
            raise ConfigError(f"--most {self.most}: it must be 0 or more")
        if self.picture and self.picture.suffix not in (".png", ".pdf"):
            raise ConfigError(f"--picture {self.picture}: its name must end in .png or .pdf")


class Agreement(NamedTuple):
    """How often a reward orders pairs as their labels do; ties and unknown labels don't count."""

    pairs: int  # with a preference
    accuracy: float | None  # None: no pairs

    @classmethod
    def of(cls, agrees_N: NDArray[np.float64]) -> Agreement:
        """Counted over pairs with a preference."""
        return cls(len(agrees_N), ratio(float(agrees_N.sum()), len(agrees_N)))


@dataclass(frozen=True)
class HeldOutResult:
    """A reward model against a label set, on the held-out pairs that have a preference (N)."""

    reward: LoadedReward
    dataset: PairsDataset
    annotator: str
    held_out: int  # pairs of the validation part, those without a preference too
    agrees_N: NDArray[np.float64]  # 1: the reward orders the pair as the label, 1/2: it is equal
    rarest_N: NDArray[np.int64]  # training observations that have the rarest message of the pair
    messages_UC: MessageArray  # all distinct messages
    rewards_U: NDArray[np.float32]  # normalised
    counts_U: NDArray[np.int64]  # training observations that have this message
    confidence_N: NDArray[np.float64]  # in the side that the reward prefers
    split_N: NDArray[np.bool_]  # whether the heads prefer different sides
    doubts_U: NDArray[np.float32]  # how far the heads differ on it against the mean message

    @property
    def all(self) -> Agreement:
        """On all of the pairs."""
        return Agreement.of(self.agrees_N)

    @property
    def unseen(self) -> Agreement:
        """On those with a message that no training pair has."""
        return Agreement.of(self.agrees_N[self.rarest_N == 0])

    @property
    def unseen_U(self) -> NDArray[np.bool_]:
        """Whether no training pair has this message."""
        return np.equal(self.counts_U, 0)

    def figures(
        self,
        best: Ranked,
        worst: Ranked,
        worth: Callable[[MessageArray], AnyArray] | None,
        doubtful: Ranked = (),
    ) -> dict[str, Any]:
        """All figures, as JSON; None where there was nothing to measure.

        Args:
            doubtful: messages on which the heads disagree most, and by how much (``doubts_U``).
            worth: what the annotator says that each message is worth, if it can.
        """
        worth_U = np.zeros(len(self.rewards_U)) if worth is None else worth(self.messages_UC)
        new_U, heads = self.unseen_U, self.reward.model.head.out_features
        bins, calibration_error = reliability(self.confidence_N, self.agrees_N)
        united, split = (Agreement.of(self.agrees_N[of]) for of in (~self.split_N, self.split_N))
        return {
            "checkpoint": self.reward.path.name,
            "trained_on": self.reward.config["annotator"],
            "annotator": self.annotator,
            "dataset": self.dataset.fingerprint,
            "seed": self.reward.config["seed"],
            "held_out_pairs": self.held_out,
            "preference_pairs": self.all.pairs,
            "accuracy": self.all.accuracy,
            "unseen_pairs": self.unseen.pairs,
            "unseen_accuracy": self.unseen.accuracy,
            "distinct_messages": len(self.messages_UC),
            "unseen_messages": int(new_U.sum()),
            "spearman": rank_correlation(self.rewards_U, worth_U),
            "unseen_spearman": rank_correlation(self.rewards_U[new_U], worth_U[new_U]),
            "best": list(map(list, best)),
            "worst": list(map(list, worst)),
            "calibration_error": calibration_error,
            "reliability": [list(row) for row in bins],
            "heads": heads,
            "united_pairs": united.pairs,
            "united_accuracy": united.accuracy,
            "split_pairs": split.pairs,
            "split_accuracy": split.accuracy,
            "doubtful": list(map(list, doubtful)) if heads > 1 else [],
        }


def evaluate_held_out(
    reward: LoadedReward, dataset_dir: str | Path, annotator: str | None = None
) -> HeldOutResult:
    """Split the dataset as the run did, from its seed, and compare on the part it never saw.

    Args:
        reward: scores on its own device.
        annotator: another label set of the same dataset than the one it was trained on.
    """
    data = _training_data(reward, dataset_dir)
    dataset = PairsDataset(dataset_dir)
    name, labels_N = reward.config["annotator"], data.labels_N
    if annotator not in (None, name):
        name = annotator
        labels_N = torch.from_numpy(load_preferences(dataset, name))[data.pairs_N].long()
    heads_UK = reward.heads(data.messages_UC.numpy())
    raw_U = pessimistic(heads_UK, reward.model.penalty)
    rewards_U = normalise(raw_U.numpy(), reward.mean, reward.variance)
    seen = data.index_NPT[data.train].flatten()
    counts_U = torch.bincount(seen, minlength=len(rewards_U))
    index_BPT, labels_B = data.index_NPT[data.validation], labels_N[data.validation]
    scores_BP = side_scores(torch.from_numpy(rewards_U)[index_BPT])
    agrees_B, preferred_B = agreements(scores_BP, labels_B)
    preferred = preferred_B.bool()
    raw_BP, heads_BPK = side_scores(raw_U[index_BPT]), side_scores(heads_UK[index_BPT])
    sure_B = torch.sigmoid((raw_BP[:, 0] - raw_BP[:, 1]).abs().double())
    return HeldOutResult(
        reward=reward,
        dataset=dataset,
        annotator=name,
        held_out=len(data.validation),
        agrees_N=agrees_B[preferred].numpy(),
        rarest_N=counts_U[index_BPT].amin(dim=(1, 2))[preferred].numpy(),
        messages_UC=data.messages_UC.numpy(),
        rewards_U=rewards_U,
        counts_U=counts_U.numpy(),
        confidence_N=sure_B[preferred].numpy(),
        split_N=split_vote(heads_BPK[:, 0] - heads_BPK[:, 1])[preferred].numpy(),
        doubts_U=disagreement(heads_UK - heads_UK[seen].mean(0)).numpy(),
    )


def _training_data(reward: LoadedReward, dataset_dir: str | Path) -> TrainingData:
    config = reward.config
    if not reward.fingerprint:
        raise CheckpointError(
            f"{reward.path} was imported: what it was trained on is not known, so no pair is known "
            "to be held out"
        )
    if config["use_blstats"]:
        raise CheckpointError(
            f"{reward.path} reads the status line beside the message; it has no reward of a "
            "message alone. Its accuracy is in val_metrics.csv of its run"
        )
    settings = {name: config[name] for name in ("seed", "soft_labels", "use_blstats")}
    poorer = ("label_share", "label_noise")  # an older checkpoint has neither
    settings |= {name: config[name] for name in poorer if name in config}
    data = load_training_data(dataset_dir, config["annotator"], **settings)
    if data.fingerprint != reward.fingerprint:
        raise CheckpointError(
            f"{reward.path} was trained on other pairs or labels than {config['annotator']} in "
            f"{dataset_dir} holds; name its own dataset with --dataset_dir, or train anew"
        )
    return data


def figures_table(figures: dict[str, Any]) -> str:
    """The figures for reading."""
    lines = [
        f"{figures['checkpoint']}, trained on {figures['trained_on']}, compared with "
        f"{figures['annotator']}",
        "",
        f"{'held-out pairs':36}{figures['held_out_pairs']:>8,}",
    ]
    for what, count, measure, value in (
        ("  with a preference", "preference_pairs", "accuracy", "accuracy"),
        ("    and a message unseen in training", "unseen_pairs", "accuracy", "unseen_accuracy"),
        ("distinct messages", "distinct_messages", "Spearman", "spearman"),
        ("  unseen in training", "unseen_messages", "Spearman", "unseen_spearman"),
        ("judged pairs", "judged_pairs", "accuracy", "judged_accuracy"),
        ("pairs on which the heads agree", "united_pairs", "accuracy", "united_accuracy"),
        ("  and on which they do not", "split_pairs", "accuracy", "split_accuracy"),
    )[: None if figures["heads"] > 1 else 5]:
        form = ".1%" if measure == "accuracy" else ".3f"
        shown = "-" if figures[value] is None else format(figures[value], form)
        lines.append(f"{what:36}{figures[count]:>8,}   {measure} {shown}")
    error = figures["calibration_error"]
    lines += ["", f"calibration error {'-' if error is None else f'{error:.3f}'}; by confidence"]
    for sure, accuracy, count in figures["reliability"]:
        bar = "#" * round(20 * (2 * accuracy - 1))
        lines.append(f"{sure:8.1%}{count:>8,} pairs   accuracy {accuracy:6.1%}  {bar}")
    for name, title in (
        ("best", "best messages, normalised reward"),
        ("worst", "worst messages, normalised reward"),
        (
            "doubtful",
            "messages on which the heads differ most: deviation of P(better than the mean)",
        ),
    ):
        if figures[name]:
            lines += ["", title]
        form = "8.3f" if name == "doubtful" else "+8.2f"
        lines += [f"{reward:{form}}  {text}" for text, reward in figures[name]]
    return "\n".join(lines)

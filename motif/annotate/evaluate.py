"""How good a judge is: an annotator asked about judged pairs in both orders, and the figures."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from motif.annotate.compare import as_shown, position_bias
from motif.annotate.config import AnnotationConfig
from motif.annotate.judges import JUDGED, JudgedPair, draw_judged_pairs
from motif.annotate.stage import make_annotator
from motif.atomic_write import atomic_write, write_json
from motif.cli import option
from motif.errors import ConfigError
from motif.games.game import find_game
from motif.intervals import wilson
from motif.messages import encode
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference
from motif.types import AnyArray, LabelArray

OF_STAGE_1 = (
    *("n_annotation_chunks", "first", "show_prompt", "estimate", "price_in", "price_out"),
    *("reparse", "no_dedupe"),
)
OUTPUTS = (".json", ".csv")


@dataclass(frozen=True)
class EvaluationConfig(AnnotationConfig):
    """The command line of ``python -m scripts.evaluate_annotator``: a judge as in stage 1."""

    pairs: int = option(JUDGED, "judged pairs to ask about, each in both orders")
    output: Path | None = option(None, "figures and answers as FILE.json, or answers as FILE.csv")

    def __post_init__(self) -> None:
        super().__post_init__()
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name in OF_STAGE_1:
            if getattr(self, name) != defaults[name]:
                raise ConfigError(f"--{name} is for scripts.annotate_pairs_dataset alone")
        if self.backend == "batch":
            raise ConfigError("--backend batch answers later; this test asks now")
        if self.pairs < 1:
            raise ConfigError(f"--pairs must be at least 1, but is {self.pairs}")
        if self.output and self.output.suffix not in OUTPUTS:
            raise ConfigError(f"--output {self.output} must end in {' or '.join(OUTPUTS)}")


@dataclass(frozen=True)
class Asked:
    """What a judge said about M pairs, with the better side first and with it second."""

    label_2M: LabelArray
    probability_2M4: AnyArray  # first, second, tie, lean; NaN where there are none
    seconds: float  # without loading the model
    tokens: int  # written
    tokens_read: int
    symmetric: bool  # one label answers both orders

    @property
    def label_count(self) -> int:
        """How many labels cost ``seconds`` and tokens."""
        return self.label_2M.size // (2 if self.symmetric else 1)


def ask(config: EvaluationConfig, judged: Sequence[JudgedPair]) -> Asked:
    """Label ``judged`` as stage 1 labels a dataset.

    Raises:
        MotifError: as stage 1; or the judge reads more than messages.
    """
    sides = [(pair.better, pair.worse) for pair in judged]
    messages = np.stack([encode(t) for pair in [*sides, *(s[::-1] for s in sides)] for t in pair])
    labels = np.full(len(messages) // 2, Preference.UNKNOWN, np.int8)
    probabilities = np.full((len(labels), 4), np.nan, np.float32)
    tokens = tokens_read = 0
    with tempfile.TemporaryDirectory() as folder, tqdm(total=len(labels), unit="label") as bar:
        (Path(folder) / "data").mkdir()
        np.save(Path(folder) / "data/message.npy", messages.reshape(-1, 2, 1, messages.shape[-1]))
        with contextlib.closing(
            make_annotator(dataclasses.replace(config, directory=Path(folder)))
        ) as annotator:
            if more := set(annotator.keys) - {"message"}:
                raise ConfigError(f"judged pairs are messages alone; this judge reads {more}")
            started = time.perf_counter()
            pairs = PairsDataset(folder)
            for answers in annotator.annotate(pairs, np.arange(len(labels))):
                labels[answers.indices] = answers.labels
                if answers.probabilities is not None:
                    columns = answers.probabilities.shape[1]
                    probabilities[answers.indices, :columns] = answers.probabilities
                tokens += answers.tokens
                tokens_read += answers.tokens_read
                bar.update(len(answers.indices))
            seconds = time.perf_counter() - started - annotator.seconds_to_load
            symmetric = annotator.keeps_probabilities
    return Asked(
        labels.reshape(2, -1),
        probabilities.reshape(2, -1, 4),
        seconds,
        tokens,
        tokens_read,
        symmetric,
    )


def outcomes(asked: Asked) -> dict[str, AnyArray]:
    """Shares of right, wrong, tie and unknown of each pair (M,), means of both orders.

    ``forced``, for judges with probabilities: the likelier side, one half where neither is.
    """
    right = np.array([[Preference.FIRST], [Preference.SECOND]])
    found = {
        "right": asked.label_2M == right,
        "wrong": asked.label_2M == right[::-1],
        "tie": asked.label_2M == Preference.TIE,
        "unknown": asked.label_2M == Preference.UNKNOWN,
    }
    ahead = (asked.probability_2M4[..., 0] - asked.probability_2M4[..., 1]) * [[1], [-1]]
    if np.isfinite(ahead).any():
        found["forced"] = np.where(ahead > 0, 1, np.where(ahead < 0, 0, 0.5))
    return {name: shares.mean(axis=0) for name, shares in found.items()}


def figures(judged: Sequence[JudgedPair], asked: Asked) -> dict[str, Any]:
    """All that is known of the judge, for JSON: over all pairs, by kind, bias, cost."""
    found = outcomes(asked)
    kinds = {kind: [kind in pair.kinds for pair in judged] for p in judged for kind in p.kinds}

    def over(chosen: AnyArray) -> dict[str, Any]:
        shares = {name: float(share[chosen].mean()) for name, share in found.items()}
        interval = wilson(float(found["right"][chosen].sum()), int(chosen.sum()))
        return {"pairs": int(chosen.sum()), **shares, "right_95": interval}

    by_kind = {kind: over(np.array(chosen)) for kind, chosen in kinds.items()}
    flat = asked.label_2M.ravel(), asked.probability_2M4.reshape(-1, 4)
    return {
        "all": over(np.ones(len(judged), bool)),
        "kinds": dict(sorted(by_kind.items(), key=lambda item: item[1]["right"])),
        "shown_first": dataclasses.asdict(position_bias(as_shown(*flat))),
        "seconds_a_label": asked.seconds / asked.label_count,
        "tokens_read_a_label": asked.tokens_read / asked.label_count,
        "tokens_written_a_label": asked.tokens / asked.label_count,
    }


def table(found: dict[str, Any]) -> str:
    """The figures as text, the worst kinds first."""
    lines = [f"{'':18} pairs  right (95 %)         wrong    tie  unknown  forced"]
    for name, row in [("all", found["all"]), *found["kinds"].items()]:
        low, high = row["right_95"]
        forced = f"{row['forced']:7.1%}" if "forced" in row else "      -"
        lines.append(
            f"{name:18} {row['pairs']:5}  {row['right']:6.1%} ({low:.1%}-{high:.1%})".ljust(46)
            + f"{row['wrong']:6.1%} {row['tie']:6.1%}  {row['unknown']:7.1%} {forced}"
        )
    bias = found["shown_first"]
    lines += [
        f"\nthe side shown first has {bias['first']:.1%} of the preferences "
        f"({bias['low']:.1%}-{bias['high']:.1%}; 50 % is fair)",
        f"a label takes {found['seconds_a_label']:.2g} s, {found['tokens_read_a_label']:.0f} "
        f"tokens read and {found['tokens_written_a_label']:.0f} written",
    ]
    return "\n".join(lines)


def evaluate(config: EvaluationConfig) -> int:
    """Ask the judge that ``config`` describes; print the figures, and write them if asked to."""
    path = getattr(find_game(config.game), "judges", None)
    if path is None:
        raise ConfigError(f"--game {config.game} has no judged pairs (judges: a file as NetHack's)")
    judged = draw_judged_pairs(path, config.goal_key, config.pairs)
    if config.output:
        config.output.parent.mkdir(parents=True, exist_ok=True)
    asked = ask(config, judged)
    found = figures(judged, asked)
    print(f"{config.annotator}, {len(judged)} pairs in both orders\n{table(found)}")
    if config.output:
        _write(
            config.output,
            {"judge": config.annotator, "goal": config.goal_key, **found},
            [
                {
                    "better": pair.better,
                    "worse": pair.worse,
                    "kinds": " > ".join(pair.kinds),
                    **{name: float(share[index]) for name, share in outcomes(asked).items()},
                }
                for index, pair in enumerate(judged)
            ],
        )
        print(f"written to {config.output}")
    return 0


def _write(path: Path, found: dict[str, Any], answers: list[dict[str, Any]]) -> None:
    if path.suffix == ".json":
        write_json(path, {**found, "answers": answers})
        return
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(answers[0]))
        writer.writeheader()
        writer.writerows(answers)

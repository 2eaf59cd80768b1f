"""Sections of the report on reward models: what they like, and how far they agree with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motif.games.nethack.kinds import KINDS
from motif.results import charts
from motif.results.episodes import FloatArray
from motif.results.intervals import wilson
from motif.results.page import (
    Cell,
    Html,
    Section,
    bar,
    columns,
    heading,
    note,
    number,
    paragraph,
    percent,
    picture,
    shaded,
    table,
)
from motif.results.report import shown

MOST = 15  # messages of one list
MOST_OF_EACH = 6  # messages that each model adds to the comparison
FREQUENCY_BINS = ((0, 0), (1, 1), (2, 9), (10, 99), (100, None))  # bounds included
STRONG = 2.0  # a normalised reward this far from 0 has the full colour


@dataclass(frozen=True)
class RewardView:
    """A reward model and what it says of U distinct messages."""

    name: str
    texts: Sequence[str]
    rewards_U: FloatArray  # normalised
    mean: float  # of the raw reward: raw = normalised * deviation + mean
    deviation: float
    threshold: float  # normalised; minus infinity for none
    quantile: float
    counts_U: NDArray[np.int64] | None = None  # times each is in the dataset


@dataclass(frozen=True)
class PairAgreement:
    """Held-out pairs with a preference (N): whether a model agrees, and how common they are."""

    agrees_N: FloatArray  # 1 or 0; 1/2 where both rewards are equal
    frequency_N: NDArray[np.int64]  # training observations that have the rarest of its messages


def likes_section(view: RewardView) -> Section:
    """The messages a reward likes best and least, before and after the threshold."""
    order = np.argsort(-view.rewards_U, kind="stable")
    paying = view.rewards_U > view.threshold
    body = [
        paragraph(
            f"{len(view.texts):,} distinct messages. Raw rewards have mean {number(view.mean)} and "
            f"deviation {number(view.deviation)}; the normalised reward is the raw one less the "
            f"mean, divided by the deviation. {percent(float(paying.mean()))} of the messages lie "
            "above the threshold and pay; the second time a game shows a message it pays an eighth "
            "(with the exponent 3), the third time a twenty-seventh."
        ),
        columns(
            picture(
                charts.reward_histogram(view.rewards_U, view.threshold, view.quantile), "rewards"
            ),
            Html(heading("Kinds of messages") + _kinds([view])),
        ),
        columns(
            Html(heading("Liked best") + _ranked(view, order[:MOST])),
            Html(heading("Liked least") + _ranked(view, order[::-1][:MOST])),
        ),
    ]
    if len(order) > 3 * MOST and np.isfinite(view.threshold):
        edge = int(paying.sum())
        near = order[max(edge - 5, 0) : edge + 5]
        body += [heading("Around the threshold"), _ranked(view, near)]
    return Section(f"likes-{_anchor(view.name)}", f"What {view.name} likes", body)


def _anchor(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name)


def _ranked(view: RewardView, rows: NDArray[np.int64]) -> Html:
    limit = float(np.abs(view.rewards_U).max())
    header = ["message", "raw", "normalised", "first sight pays"]
    counted = view.counts_U is not None
    lines: list[list[Cell]] = []
    for row in rows.tolist():
        reward = float(view.rewards_U[row])
        pays = reward if reward > view.threshold else 0.0
        raw = Html(f"{reward * view.deviation + view.mean:+.2f}")
        cells = [raw, bar(reward, limit, f"{reward:+.2f}"), Html(f"{pays:.2f}")]
        count = [] if view.counts_U is None else [int(view.counts_U[row])]
        lines.append([shown(view.texts[row]), *cells, *count])
    return table([*header, *(["in dataset"] if counted else [])], lines)


def _kinds(views: Sequence[RewardView]) -> Html:
    """Mean normalised reward of the messages of each kind; a column for each model."""
    rows: list[list[Cell]] = []
    for kind, pattern in KINDS.items():
        found = np.array([bool(pattern.search(text)) for text in views[0].texts])
        if found.any():
            means = [float(view.rewards_U[found].mean()) for view in views]
            rows.append([kind, int(found.sum()), *(shaded(mean, STRONG) for mean in means)])
    names = [view.name for view in views] if len(views) > 1 else ["mean reward"]
    return table(["kind", "messages", *names], rows)


def goals_section(views: Sequence[RewardView]) -> Section:
    """Several reward models side by side, on the same messages."""
    chosen: list[int] = []
    for view in views:
        best = np.argsort(-view.rewards_U, kind="stable")[:MOST_OF_EACH].tolist()
        chosen += [row for row in best if row not in chosen]
    rows: list[list[Cell]] = [
        [shown(views[0].texts[row]), *(shaded(float(v.rewards_U[row]), STRONG) for v in views)]
        for row in chosen
    ]
    matrix: list[list[Cell]] = []
    for view in views:
        values = [float(np.corrcoef(view.rewards_U, other.rewards_U)[0, 1]) for other in views]
        matrix.append([view.name, *(shaded(value, 1.0) for value in values)])
    names = [view.name for view in views]
    body = [
        heading("Does each goal like its own kind of message?"),
        _kinds(views),
        note("Mean normalised reward of the messages of a kind. Blue: liked; orange: disliked."),
        heading("The messages that one of them likes best"),
        table(["message", *names], rows),
        heading("Correlation of the rewards, over distinct messages"),
        table(["", *names], matrix),
    ]
    return Section("goals", "Reward models side by side", body)


def agreement_section(name: str, pairs: PairAgreement) -> Section:
    """How often a model agrees with its labels, by how often it saw the messages in training."""
    rows: list[list[Cell]] = []
    for low, high in FREQUENCY_BINS:
        inside = pairs.frequency_N >= low
        if high is not None:
            inside &= pairs.frequency_N <= high
        total, agreeing = int(inside.sum()), float(pairs.agrees_N[inside].sum())
        times = (
            str(low) if low == high else f"{low} or more" if high is None else f"{low} to {high}"
        )
        rate = agreeing / total if total else 0.0
        interval = "–" if not total else " to ".join(map(percent, wilson(agreeing, total)))
        shown_rate = percent(rate) if total else "–"
        rows.append([Html(times), total, bar(rate, 1.0, shown_rate), Html(interval)])
    total, agreeing = len(pairs.agrees_N), float(pairs.agrees_N.sum())
    rows.append(
        [
            Html("all"),
            total,
            bar(agreeing / total if total else 0.0, 1.0, percent(agreeing / max(total, 1))),
            Html(" to ".join(map(percent, wilson(agreeing, total)))),
        ]
    )
    header = ["rarer message in training", "held-out pairs", "agrees with label", "95 % interval"]
    text = note(
        "Held-out pairs with a preference, by how many training observations had the rarer of the "
        "two messages. A model that has learnt what words mean agrees on messages it never saw."
    )
    return Section("agreement", f"Agreement of {name} with its labels", [table(header, rows), text])


def reward_sections(views: Sequence[RewardView], agreement: PairAgreement | None) -> list[Section]:
    """All sections on reward models."""
    sections = [likes_section(view) for view in views[:1]]
    if len(views) > 1:
        sections.append(goals_section(views))
        sections += [likes_section(view) for view in views[1:]]
    if agreement is not None and len(agreement.agrees_N):
        sections.append(agreement_section(views[0].name, agreement))
    return sections

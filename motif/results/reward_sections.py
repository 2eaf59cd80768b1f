"""Sections of the report on reward models: what they like, and how far they agree with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from motif.games.game import Kinds
from motif.results import charts
from motif.results.episodes import FloatArray
from motif.results.page import Cell, Section, bar, fill, percent, picture, rate, shaded
from motif.results.report import shown
from motif.reward.held_out import HeldOutResult

MOST = 15  # messages of one list
MOST_OF_EACH = 6  # messages that each model adds to the comparison
FREQUENCIES = (  # name and bounds, both included
    *(("0", 0, 0), ("1", 1, 1), ("2 to 9", 2, 9), ("10 to 99", 10, 99)),
    *(("100 or more", 100, np.inf), ("all", 0, np.inf)),
)
STRONG = 2.0  # a normalised reward this far from 0 has the full colour


@dataclass(frozen=True)
class RewardView:
    """A reward model and what it says of U distinct messages."""

    name: str
    texts: Sequence[str]
    kinds: Kinds  # of messages, in their game
    rewards_U: FloatArray  # normalised
    mean: float  # of the raw reward: raw = normalised * deviation + mean
    deviation: float
    threshold: float  # normalised; minus infinity for none
    quantile: float | None  # that it is at, if it was given by one
    counts_U: NDArray[np.int64] | None = None  # times each is in the dataset


def likes_section(view: RewardView) -> Section:
    """The messages a reward likes best and least, before and after the threshold."""
    order = np.argsort(-view.rewards_U, kind="stable")
    paying = view.rewards_U > view.threshold
    edge = int(paying.sum())
    has_edge = len(order) > 3 * MOST and np.isfinite(view.threshold)
    histogram = charts.reward_histogram(view.rewards_U, view.threshold, view.quantile)
    body = fill(
        "likes",
        view=view,
        paying=percent(float(paying.mean())),
        histogram=picture(histogram, "rewards"),
        kind_rows=_kinds([view]),
        best=_ranked(view, order[:MOST]),
        worst=_ranked(view, order[::-1][:MOST]),
        near=_ranked(view, order[max(edge - 5, 0) : edge + 5]) if has_edge else [],
    )
    anchor = "".join(c if c.isalnum() else "-" for c in view.name)
    return Section(f"likes-{anchor}", f"What {view.name} likes", body)


def _ranked(view: RewardView, rows: NDArray[np.int64]) -> list[list[Cell]]:
    limit = float(np.abs(view.rewards_U).max())
    lines: list[list[Cell]] = []
    for row in rows.tolist():
        reward = float(view.rewards_U[row])
        raw = Markup(f"{reward * view.deviation + view.mean:+.2f}")
        pays = Markup(f"{reward if reward > view.threshold else 0.0:.2f}")
        count = [] if view.counts_U is None else [int(view.counts_U[row])]
        lines.append([shown(view.texts[row]), raw, bar(reward, limit, f"{reward:+.2f}"), pays])
        lines[-1] += count
    return lines


def _kinds(views: Sequence[RewardView]) -> list[list[Cell]]:
    """Mean normalised reward of the messages of each kind; a column for each model."""
    rows: list[list[Cell]] = []
    for kind, pattern in views[0].kinds.items():
        found = np.array([bool(pattern.search(text)) for text in views[0].texts])
        if found.any():
            means = [float(view.rewards_U[found].mean()) for view in views]
            rows.append([kind, int(found.sum()), *(shaded(mean, STRONG) for mean in means)])
    return rows


def goals_section(views: Sequence[RewardView]) -> Section:
    """Several reward models side by side, on the same messages."""
    chosen: dict[int, None] = {}  # in order, each once
    for view in views:
        chosen |= dict.fromkeys(np.argsort(-view.rewards_U, kind="stable")[:MOST_OF_EACH].tolist())
    best = [
        [shown(views[0].texts[row]), *(shaded(float(v.rewards_U[row]), STRONG) for v in views)]
        for row in chosen
    ]
    matrix = np.atleast_2d(np.corrcoef([view.rewards_U for view in views]))
    names = [view.name for view in views]
    correlations = [
        [name, *(shaded(float(value), 1.0) for value in row)] for name, row in zip(names, matrix)
    ]
    rows = {"kind_rows": _kinds(views), "best": best, "correlations": correlations}
    return Section("goals", "Reward models side by side", fill("goals", names=names, **rows))


def agreement_section(name: str, pairs: HeldOutResult) -> Section:
    """How often a model agrees with its labels, by how often it saw the messages in training."""
    rows: list[list[Cell]] = []
    for times, low, high in FREQUENCIES:
        inside = (pairs.rarest_N >= low) & (pairs.rarest_N <= high)
        total, agreeing = int(inside.sum()), float(pairs.agrees_N[inside].sum())
        share, interval = rate(agreeing, total)
        rows.append([Markup(times), total, bar(agreeing / max(total, 1), 1.0, share), interval])
    title = f"Agreement of {name} with its labels"
    return Section("agreement", title, fill("agreement", rows=rows))


def reward_sections(views: Sequence[RewardView], agreement: HeldOutResult | None) -> list[Section]:
    """All sections on reward models."""
    sections = [likes_section(view) for view in views[:1]]
    if len(views) > 1:
        sections.append(goals_section(views))
        sections += [likes_section(view) for view in views[1:]]
    if agreement is not None and len(agreement.agrees_N):
        sections.append(agreement_section(views[0].name, agreement))
    return sections

"""Figures that compare methods over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.drawing import COLORS, INK, new_figure, plain_label, save_picture, thousands
from motif.results.aggregates import AGGREGATES, Estimate, MeanCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = dict(
    zip(AGGREGATES, ("Median", "Interquartile mean", "Mean", "Optimality gap (less: better)"))
)


def method_colors(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method, the same in every figure."""
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(sorted(set(methods)))}


def curves_figure(task: str, curves: Mapping[str, MeanCurve], colors: Mapping[str, str]) -> Figure:
    """Mean over seeds with its interval; thin lines are the seeds."""
    with new_figure(7, 4.4) as figure:
        axes = figure.subplots()
        for method, curve in curves.items():
            color, seeds = colors[method], len(curve.seeds)
            steps = curve.timesteps
            axes.plot(steps, curve.seeds.T, color=color, alpha=0.3, linewidth=0.8)
            axes.fill_between(steps, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
            label = f"{plain_label(method)} ({seeds} seed{'s' * (seeds != 1)})"
            axes.plot(steps, curve.mean, color=color, linewidth=2.2, label=label)
        axes.set_title(plain_label(task))
        axes.set_xlabel("environment steps")
        axes.set_ylabel("task's own return")
        axes.xaxis.set_major_formatter(thousands)
        axes.grid(True)
        axes.legend()
    return figure


def aggregates_figure(
    estimates: Mapping[str, Mapping[str, Estimate]], colors: Mapping[str, str]
) -> Figure:
    """A panel for each aggregate, a bar of its interval for each method."""
    with new_figure(12, 1.1 + 0.42 * len(estimates)) as figure:
        rows = np.arange(len(estimates))[::-1]
        panels: Any = figure.subplots(1, len(TITLES), sharey=True)
        for axes, (name, title) in zip(panels, TITLES.items()):
            for row, (method, values) in zip(rows, estimates.items()):
                value = values[name]
                width = value.high - value.low
                axes.barh(row, width, left=value.low, height=0.6, color=colors[method], alpha=0.45)
                axes.plot([value.value] * 2, [row - 0.3, row + 0.3], color=INK, linewidth=2)
            highest = max(values[name].high for values in estimates.values())
            lowest = min(values[name].low for values in estimates.values())
            axes.set_xlim(min(0.0, lowest), 1.08 * max(highest, 0.1))
            axes.set_title(title, fontsize=10)
            axes.grid(True, axis="x")
        panels[0].set_yticks(rows, [plain_label(method) for method in estimates])
        figure.supxlabel("normalised return", fontsize=10)
    return figure


def steering_figure(rows: Sequence[Mapping[str, Any]], shown: Sequence[str]) -> Figure:
    """A panel for each thing an agent does, a bar for each reward; dots are seeds, with ± 1 error.

    Args:
        rows: ``reward``, and of each of ``shown`` the mean over a seed's games and, under the same
            name with " ±", its standard error.
    """
    rewards = list(dict.fromkeys(row["reward"] for row in rows))
    with new_figure(3.4 * len(shown), 3) as figure:
        for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown):
            for place, reward in enumerate(rewards):
                own = [row for row in rows if row["reward"] == reward]
                seeds, errors = ([row[key] for row in own] for key in (name, f"{name} ±"))
                color = COLORS[place % len(COLORS)]
                axes.bar(place, np.mean(seeds), width=0.65, color=color, alpha=0.5)
                across = place + 0.12 * (np.arange(len(seeds)) - (len(seeds) - 1) / 2)
                axes.errorbar(across, seeds, errors, fmt="o", color=color, markersize=4)
            axes.set_xticks(range(len(rewards)), rewards, fontsize=8)
            axes.set_title(f"{name}, per game", fontsize=10)
            axes.grid(True, axis="y")
        figure.supxlabel("trained on the reward for", fontsize=9)
    return figure


def save_figure(path: Path, figure: Figure) -> list[Path]:
    """PNG and PDF, each whole or not at all."""
    return [
        save_picture(path.with_name(f"{path.name}.{kind}"), figure, kind, dpi=150)
        for kind in ("png", "pdf")
    ]

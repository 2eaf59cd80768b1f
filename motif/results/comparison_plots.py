"""Figures that compare methods over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from motif.atomic_write import atomic_write
from motif.results.aggregates import AGGREGATES, Estimate, MeanCurve
from motif.results.charts import COLORS, STYLE, plain_label, thousands

TITLES = {
    "median": "Median",
    "iqm": "Interquartile mean",
    "mean": "Mean",
    "optimality_gap": "Optimality gap (less: better)",
}


def method_colors(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method, the same in every figure."""
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(sorted(set(methods)))}


def curves_figure(task: str, curves: Mapping[str, MeanCurve], colors: Mapping[str, str]) -> Figure:
    """Mean over seeds with its interval; thin lines are the seeds."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 4.4), layout="constrained")
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
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
    return figure


def aggregates_figure(
    estimates: Mapping[str, Mapping[str, Estimate]], colors: Mapping[str, str]
) -> Figure:
    """A panel for each aggregate, a bar of its interval for each method."""
    with matplotlib.rc_context(STYLE):
        height = 1.1 + 0.42 * len(estimates)
        figure = Figure(figsize=(12, height), layout="constrained")
        rows = np.arange(len(estimates))[::-1]
        panels: Any = figure.subplots(1, len(AGGREGATES), sharey=True)
        for axes, name in zip(panels, AGGREGATES):
            for row, (method, values) in zip(rows, estimates.items()):
                value = values[name]
                width = value.high - value.low
                axes.barh(row, width, left=value.low, height=0.6, color=colors[method], alpha=0.45)
                axes.plot([value.value] * 2, [row - 0.3, row + 0.3], color="#1c2733", linewidth=2)
            highest = max(values[name].high for values in estimates.values())
            axes.set_xlim(min(0.0, *(values[name].low for values in estimates.values())), None)
            axes.set_xlim(None, 1.08 * max(highest, 0.1))
            axes.set_title(TITLES[name], fontsize=10)
            axes.grid(True, axis="x")
            axes.set_axisbelow(True)
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
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(shown), 3), layout="constrained")
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
            axes.set_axisbelow(True)
        figure.supxlabel("trained on the reward for", fontsize=9)
    return figure


def save_figure(path: Path, figure: Figure) -> list[Path]:
    """PNG and PDF, each whole or not at all."""
    paths = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf")]
    for target in paths:
        with atomic_write(target) as temporary:
            figure.savefig(temporary, format=target.suffix[1:], dpi=150)
    return paths

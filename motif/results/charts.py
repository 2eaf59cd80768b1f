"""The report's pictures: matplotlib figures of plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from motif.results.episodes import FloatArray, running_mean

matplotlib.use("Agg")

Episodes = Mapping[str, FloatArray]  # columns of episodes.csv

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a5195", "#4d4d4d")
OTHERS = "#d5dbe1"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a96a3",
    "axes.labelcolor": "#3b4754",
    "xtick.color": "#5b6875",
    "ytick.color": "#5b6875",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": "#e6eaee",
    "svg.hashsalt": "motif",  # the same figure is the same file
}
CURVES = {  # column of episodes.csv: title
    "return": "Task's own return",
    "extrinsic_return": "Extrinsic return",
    "intrinsic_return": "Intrinsic return",
    "dlvl": "Dungeon level at the end",
    "gold": "Gold at the end",
    "xlvl": "Experience level at the end",
    "scout": "Glyphs explored",
    "length": "Steps of a game",
}
MOST_POINTS = 3000  # drawn for one run; the means are of all games


def learning_curves(runs: Mapping[str, Episodes]) -> Figure:
    """One small chart for each column; a dot for each game if there is one run only."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12, 9), layout="constrained")
        for axes, (column, title) in zip(figure.subplots(4, 2).flat, CURVES.items()):
            for color, (name, episodes) in zip(COLORS, runs.items()):
                _draw_curve(axes, episodes, column, color, name, points=len(runs) == 1)
            axes.set_title(title)
            axes.grid(True)
            axes.xaxis.set_major_formatter(thousands)
            axes.set_axisbelow(True)
        if len(runs) > 1:
            handles, labels = axes.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)
        figure.supxlabel("environment steps", fontsize=10, color="#3b4754")
    return figure


def _draw_curve(
    axes: Any, episodes: Episodes, column: str, color: str, name: str, points: bool
) -> None:
    steps, values = episodes["env_steps"], episodes.get(column, np.array([]))
    if not len(values):  # or a run of a version that didn't log it
        return
    every = slice(None, None, -(-len(values) // MOST_POINTS))
    window = max(len(values) // 10, 5)
    mean = running_mean(values, window)
    if points:
        axes.plot(steps[every], values[every], ".", color=color, alpha=0.5, markersize=5, mew=0)
        low, high = np.percentile(values, [0.5, 99.0])
        margin = 0.06 * (high - low or 1.0)
        axes.set_ylim(min(low, mean.min()) - margin, max(high, mean.max()) + margin)
    axes.plot(steps[every], mean[every], color=color, linewidth=2, label=plain_label(name))


def thousands(value: float, _: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value else "0"


def plain_label(label: str) -> str:
    """A label that matplotlib takes for text: no formula, and shown in the legend."""
    return label.replace("$", r"\$").lstrip("_") or "run"


def parts_scatter(runs: Mapping[str, Episodes], first: str, second: str) -> Figure:
    """One dot a game: ``first`` and ``second`` are columns of episodes.csv."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 4.4), layout="constrained")
        axes = figure.subplots()
        for color, (name, episodes) in zip(COLORS, runs.items()):
            every = slice(None, None, -(-len(episodes[first]) // MOST_POINTS) or None)
            axes.plot(
                episodes[first][every],
                episodes[second][every],
                ".",
                color=color,
                alpha=0.4,
                markersize=6,
                mew=0,
                label=plain_label(name),
            )
        if len(runs) > 1:
            axes.legend(frameon=False)
        axes.set_xlabel(CURVES[first].lower())
        axes.set_ylabel(CURVES[second].lower())
        axes.grid(True)
    return figure


def reward_histogram(rewards_U: FloatArray, threshold: float, quantile: float) -> Figure:
    """Rewards of distinct messages; those at or below the threshold pay nothing."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.4), layout="constrained")
        axes = figure.subplots()
        bins = np.linspace(rewards_U.min(), rewards_U.max() + 1e-6, 50)
        barred = rewards_U <= threshold
        axes.hist(rewards_U[barred], bins, color="#b9c2cc", label="pays nothing")
        axes.hist(rewards_U[~barred], bins, color=COLORS[0], label="pays")
        if np.isfinite(threshold):
            label = f"threshold {threshold:.2f} (quantile {quantile:g})"
            axes.axvline(threshold, color="#3b4754", linestyle="--", linewidth=1.2, label=label)
        axes.set_xlabel("normalised reward")
        axes.set_ylabel("distinct messages")
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return figure


def share_bars(labels: Sequence[str], names: Sequence[str], share_RS: FloatArray) -> Figure:
    """Stacked bars: one row for each label (R), one colour for each name (S), the rest in grey."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12, 1.6 + 0.42 * len(labels)), layout="constrained")
        axes = figure.subplots()
        rows = np.arange(len(labels))[::-1]
        left = np.zeros(len(labels))
        for color, name, share_R in zip(COLORS, names, share_RS.T):
            axes.barh(rows, share_R, left=left, color=color, label=plain_label(name), height=0.72)
            left = left + share_R
        axes.barh(
            rows, np.maximum(1 - left, 0), left=left, color=OTHERS, label="all others", height=0.72
        )
        axes.set_yticks(rows, [plain_label(label) for label in labels])
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.spines[["left"]].set_visible(False)
        figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    return figure

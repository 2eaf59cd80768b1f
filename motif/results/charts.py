"""The report's pictures: matplotlib figures of plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.drawing import (
    COLORS,
    OTHERS,
    PALE,
    SOFT,
    new_figure,
    plain_label,
    stacked_bars,
    thousands,
)
from motif.results.episodes import FloatArray, running_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Episodes = Mapping[str, FloatArray]  # columns of episodes.csv
CURVES = {  # column of episodes.csv: title
    "return": "Task's own return",
    "extrinsic_return": "Extrinsic return",
    "intrinsic_return": "Intrinsic return",
    "dlvl": "Dungeon level at the end",
    "gold": "Gold at the end",
    "xlvl": "Experience level at the end",
    "scout": "Glyphs explored",
    "length": "Steps of a game",
    "solved": "Solved",
    "achievements": "Achievements",
}
MOST_POINTS = 3000  # drawn for one run; the means are of all games


def learning_curves(runs: Mapping[str, Episodes]) -> Figure:
    """One small chart for each column that a run has; dots for the games if there is one run."""
    titles = {c: title for c, title in CURVES.items() if any(c in run for run in runs.values())}
    rows = -(-len(titles) // 2)
    with new_figure(12, 2.25 * rows) as figure:
        for axes, (column, title) in zip(figure.subplots(rows, 2).flat, titles.items()):
            for color, (name, episodes) in zip(COLORS, runs.items()):
                draw_curve(axes, episodes, column, color, plain_label(name), len(runs) == 1)
            axes.set_title(title)
        if len(runs) > 1:
            handles, labels = axes.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper left", ncols=4)
        for unused in figure.axes[len(titles) :]:
            unused.remove()
        figure.supxlabel("environment steps", fontsize=10, color=SOFT)
    return figure


def draw_curve(
    axes: Any, episodes: Episodes, column: str, color: str, name: str | None, points: bool
) -> None:
    """The mean of the last tenth of all games so far; with ``points``, a dot a game."""
    axes.grid(True)
    axes.xaxis.set_major_formatter(thousands)
    steps, values = episodes["env_steps"], episodes.get(column, np.array([]))
    if not len(values):  # or a run of a version that didn't log it
        return
    every = slice(None, None, -(-len(values) // MOST_POINTS))
    window = max(len(values) // 10, 5)
    mean = running_mean(values, window)
    if points:
        dots = {"alpha": 0.5, "markersize": 5, "markeredgewidth": 0, "label": "one game"}
        axes.plot(steps[every], values[every], ".", color=color, **dots)
        low, high = np.percentile(values, [0.5, 99.0])
        margin = 0.06 * (high - low or 1.0)
        axes.set_ylim(min(low, mean.min()) - margin, max(high, mean.max()) + margin)
    label = name or f"mean of the last {window}"
    axes.plot(steps[every], mean[every], color=color, linewidth=2, label=label)


def parts_scatter(runs: Mapping[str, Episodes], first: str, second: str) -> Figure:
    """One dot a game: ``first`` and ``second`` are columns of episodes.csv."""
    with new_figure(6, 4.4) as figure:
        axes = figure.subplots()
        dots: dict[str, Any] = {"alpha": 0.4, "markersize": 6, "markeredgewidth": 0}
        for color, (name, episodes) in zip(COLORS, runs.items()):
            every = slice(None, None, -(-len(episodes[first]) // MOST_POINTS) or None)
            x, y = episodes[first][every], episodes[second][every]
            axes.plot(x, y, ".", color=color, label=plain_label(name), **dots)
        if len(runs) > 1:
            axes.legend()
        axes.set(xlabel=CURVES[first].lower(), ylabel=CURVES[second].lower())
        axes.grid(True)
    return figure


def reward_histogram(rewards_U: FloatArray, threshold: float, quantile: float | None) -> Figure:
    """Rewards of distinct messages; those at or below the threshold pay nothing."""
    with new_figure(6, 3.4) as figure:
        axes = figure.subplots()
        bins = np.linspace(rewards_U.min(), rewards_U.max() + 1e-6, 50)
        barred = rewards_U <= threshold
        axes.hist(rewards_U[barred], bins, color=PALE, label="pays nothing")
        axes.hist(rewards_U[~barred], bins, color=COLORS[0], label="pays")
        if np.isfinite(threshold):
            at = "" if quantile is None else f" (quantile {quantile:g})"
            label = f"threshold {threshold:.2f}{at}"
            axes.axvline(threshold, color=SOFT, linestyle="--", linewidth=1.2, label=label)
        axes.set(xlabel="normalised reward", ylabel="distinct messages")
        figure.legend(loc="outside upper left", ncols=3, fontsize=9)
    return figure


def share_bars(labels: Sequence[str], names: Sequence[str], share_RS: FloatArray) -> Figure:
    """Stacked bars: one row for each label (R), one colour for each name (S), the rest in grey."""
    with new_figure(12, 1.6 + 0.42 * len(labels)) as figure:
        axes = figure.subplots()
        rest_R = np.maximum(1 - share_RS.sum(axis=1), 0)
        parts = [*zip(COLORS, map(plain_label, names), share_RS.T), (OTHERS, "all others", rest_R)]
        stacked_bars(axes, [plain_label(label) for label in labels], parts)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        figure.legend(loc="outside lower left", ncols=3, fontsize=9)
    return figure

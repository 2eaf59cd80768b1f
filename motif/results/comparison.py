"""Methods compared over seeds: what is read, and the figures and tables that are written."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.cli import option
from motif.drawing import COLORS, INK, new_figure, plain_label, save_picture, thousands
from motif.errors import ConfigError, DatasetError
from motif.results.aggregates import (
    AGGREGATES,
    Estimate,
    MeanCurve,
    aggregate,
    mean_curve,
    normalised_scores,
)
from motif.results.curves import as_results, read_curve, write_csv
from motif.results.results_file import Results, read_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = dict(
    zip(AGGREGATES, ("Median", "Interquartile mean", "Mean", "Optimality gap (less: better)"))
)


@dataclass(frozen=True)
class PlotConfig:
    """What to compare."""

    results: Sequence[Path] = option((), "results files (motif_results.pkl)", nargs="*", type=Path)
    run: Sequence[str] = option((), "run folders, or method=folder", nargs="*", type=str)
    output_dir: Path = option(Path("plots"), "folder of the figures and tables")
    aggregates: bool = option(True, "aggregates over tasks too; needs pip install -e '.[plots]'")

    def __post_init__(self) -> None:
        if not self.results and not self.run:
            raise ConfigError("name results files (--results) or run folders (--run)")


def plot_results(config: PlotConfig) -> list[Path]:
    """Write figures and tables; their paths.

    Raises:
        MotifError: something cannot be read or compared, or rliable is missing.
    """
    results = _gather(config)
    _warn_of_unequal_lengths(results)
    colors = method_colors([method for methods in results.values() for method in methods])
    written: list[Path] = []
    for task, methods in results.items():
        curves = {name: curve for name in methods if (curve := mean_curve(methods[name]))}
        if not curves:
            print(f"{task}: no finished games in common, no curve")
            continue
        path = config.output_dir / f"curves_{task}"
        rows = [
            (name, *values)
            for name, curve in curves.items()
            for values in zip(curve.timesteps, curve.mean, curve.low, curve.high)
        ]
        table = path.with_name(f"{path.name}.csv")
        write_csv(table, ["method", "timesteps", "mean", "low", "high"], rows)
        written += [*save_figure(path, curves_figure(task, curves, colors)), table]
    if config.aggregates:
        written += _plot_aggregates(results, config.output_dir, colors)
    return written


def _warn_of_unequal_lengths(results: Results) -> None:
    for task, methods in results.items():
        ends = {
            method: min(steps[-1] for steps in curves["timesteps"] if steps)
            for method, curves in methods.items()
            if any(curves["timesteps"])
        }
        if ends and max(ends.values()) > 1.1 * min(ends.values()):
            listed = ", ".join(f"{method} {end:,.0f}" for method, end in ends.items())
            print(
                f"warning: on {task} the curves end at different steps ({listed}); last values are "
                "not of equal training",
                file=sys.stderr,
            )


def _plot_aggregates(results: Results, folder: Path, colors: dict[str, str]) -> list[Path]:
    try:
        scores = normalised_scores(results)
    except ConfigError as error:  # early in a comparison; the curves are there
        print(error)
        return []
    estimates = aggregate(scores)
    rows = [
        (method, name, estimate.value, estimate.low, estimate.high)
        for method, values in estimates.items()
        for name, estimate in values.items()
    ]
    table = folder / "aggregates.csv"
    write_csv(table, ["method", "aggregate", "value", "low", "high"], rows)
    for method, name, value, low, high in rows:
        print(f"{method:20}{name:16}{value:8.3f}  ({low:.3f} to {high:.3f})")
    return [*save_figure(folder / "aggregates", aggregates_figure(estimates, colors)), table]


def _gather(config: PlotConfig) -> Results:
    """All curves; a method that two files have on one task gets the file's name too."""
    results: Results = {}
    sources = [(path.stem, read_results(path)) for path in config.results]
    if config.run:
        sources.append(("runs", as_results([read_curve(text) for text in config.run])))
    for name, source in sources:
        for task, methods in source.items():
            for method, curves in methods.items():
                there = results.setdefault(task, {})
                there[f"{method} ({name})" if method in there else method] = curves
    if not results:
        raise DatasetError(f"{', '.join(map(str, config.results))}: no curves in it")
    return results


def method_colors(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method, the same in every figure."""
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(sorted(set(methods)))}


def curves_figure(task: str, curves: Mapping[str, MeanCurve], colors: Mapping[str, str]) -> Figure:
    """Mean over seeds with its interval; thin lines are the seeds.

    More methods than there are colours are told apart by their lines.
    """
    dashes = dict(zip(colors, np.repeat(["-", "--", ":"], len(COLORS))))
    with new_figure(7, 4.4) as figure:
        axes = figure.subplots()
        for method, curve in curves.items():
            color, seeds = colors[method], len(curve.seeds)
            steps = curve.timesteps
            axes.plot(steps, curve.seeds.T, color=color, alpha=0.3, linewidth=0.8)
            axes.fill_between(steps, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
            label = f"{plain_label(method)} ({seeds} seed{'s' * (seeds != 1)})"
            dash = dashes.get(method, "-.")
            axes.plot(steps, curve.mean, dash, color=color, linewidth=2.2, label=label)
        axes.set(title=plain_label(task), xlabel="environment steps", ylabel="task's own return")
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


def save_figure(path: Path, figure: Figure) -> list[Path]:
    """PNG and PDF, each whole or not at all."""
    return [
        save_picture(path.with_name(f"{path.name}.{kind}"), figure, kind, dpi=150)
        for kind in ("png", "pdf")
    ]

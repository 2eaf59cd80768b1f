"""Methods compared: what is read, and the figures and tables that are written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motif.cli import option
from motif.errors import ConfigError, DatasetError
from motif.results.aggregates import aggregate, mean_curve, normalised_scores
from motif.results.comparison_plots import (
    aggregates_figure,
    curves_figure,
    method_colors,
    save_figure,
)
from motif.results.curves import as_results, read_curve, write_csv
from motif.results.results_file import Results, read_results


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
    estimates = aggregate(normalised_scores(results))
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

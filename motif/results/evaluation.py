"""What an evaluation's games come to: means, quartiles, intervals, differences of players."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motif.drawing import COLORS, new_figure, plain_label, save_picture
from motif.intervals import wilson
from motif.results.episodes import FloatArray

RESAMPLES = 10_000
NO_MEASURE = ("player", "number", "success", "end")

Rows = Sequence[Mapping[str, Any]]


def compare_players(rows: Rows, players: Sequence[str]) -> dict[str, Any]:
    """Sum up the games of each player, and compare each with the first, game by game.

    Args:
        rows: of ``games.csv``; each player has played the same numbers.

    Returns:
        ``players``: by name ``games``, ``measures``, ``ends``, ``success``; ``differences`` from
        the first player. Intervals are of 95 %, by the bootstrap over games; those of a difference
        resample games, not the two players' games apart, for they are the same games.
    """
    tables = {name: _by_number(rows, name) for name in players}
    measures = [name for name in tables[players[0]][0] if name not in NO_MEASURE]
    columns = {
        player: {m: np.array([row[m] for row in table], float) for m in measures}
        for player, table in tables.items()
    }
    first, *others = players
    return {
        "players": {
            player: {
                "games": len(table),
                "measures": {m: _summary(columns[player][m]) for m in measures},
                "ends": dict(Counter(row["end"] for row in table if row["end"]).most_common()),
                "success": _success([row["success"] for row in table]),
            }
            for player, table in tables.items()
        },
        "differences": {
            other: {m: _mean(columns[other][m] - columns[first][m]) for m in measures}
            for other in others
        },
    }


def _by_number(rows: Rows, player: str) -> list[Mapping[str, Any]]:
    return sorted((row for row in rows if row["player"] == player), key=lambda row: row["number"])


def _mean(values: FloatArray) -> dict[str, float]:
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def _summary(values: FloatArray) -> dict[str, float]:
    quartiles = dict(zip(("lower_quartile", "median", "upper_quartile"), _quartiles(values)))
    return {**_mean(values), **quartiles, "greatest": float(values.max())}


def _quartiles(values: FloatArray) -> list[float]:
    found: list[float] = np.percentile(values, [25, 50, 75]).tolist()
    return found


def _success(outcomes: Sequence[bool | None]) -> dict[str, float] | None:
    if None in outcomes:
        return None
    wins = sum(map(bool, outcomes))
    low, high = wilson(wins, len(outcomes))
    return {"wins": wins, "rate": wins / len(outcomes), "low": low, "high": high}


def summary_table(content: Mapping[str, Any]) -> str:
    """The figures as text, a block for each player."""
    players, lines = content["players"], []
    for name, player in players.items():
        lines.append(f"{name}: {player['games']} games of {content['settings']['task']}")
        lines.append(f"  {'':24} {'mean':>9}  {'95 %':^19}  {'median':>8}  {'quartiles':^17}")
        for measure, of in player["measures"].items():
            interval = f"{of['low']:.4g} to {of['high']:.4g}"
            quartiles = f"{of['lower_quartile']:.4g} to {of['upper_quartile']:.4g}"
            lines.append(
                f"  {measure:24} {of['mean']:9.4g}  {interval:^19}  {of['median']:8.4g}  "
                f"{quartiles:^17}"
            )
        if wins := player["success"]:
            interval = f"{wins['low']:.1%} to {wins['high']:.1%}"
            lines.append(f"  {'success':24} {wins['rate']:9.1%}  {interval:^19}")
        if ends := ", ".join(f"{end} {times}" for end, times in player["ends"].items()):
            lines.append(f"  ends: {ends}")
    first = next(iter(players))
    for name, differences in content["differences"].items():
        lines.append(f"{name} minus {first}, the same games (95 %; * where 0 is outside):")
        for measure, of in differences.items():
            sure = "*" if of["low"] > 0 or of["high"] < 0 else ""
            lines.append(
                f"  {measure:24} {of['mean']:+9.4g}  {of['low']:+.4g} to {of['high']:+.4g} {sure}"
            )
    return "\n".join(lines)


def draw_players(path: Path, content: Mapping[str, Any]) -> None:
    """Means with their intervals, a small chart for each measure, a row for each player."""
    players = content["players"]
    measures = list(next(iter(players.values()))["measures"])
    rows = -(-len(measures) // 3)
    names = [plain_label(Path(name).name) for name in players]
    with new_figure(12, rows * (0.9 + 0.3 * len(names))) as figure:
        for axes in (grid := figure.subplots(rows, 3, squeeze=False)).flat[len(measures) :]:
            axes.remove()
        for axes, measure in zip(grid.flat, measures):
            for place, (player, color) in enumerate(zip(players.values(), COLORS * len(names))):
                of = player["measures"][measure]
                axes.plot([of["low"], of["high"]], [place, place], color=color, linewidth=2)
                axes.plot(of["mean"], place, "o", color=color)
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_title(measure)
            axes.grid(True, axis="x")
        save_picture(path, figure)

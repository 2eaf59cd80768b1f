"""One picture of a run: how the agent learnt, and which messages its reward likes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from motif.atomic_write import atomic_write
from motif.messages import decode, printable
from motif.results.episodes import FloatArray, running_mean
from motif.types import AnyArray, MessageArray

matplotlib.use("Agg")

SHOWN_MESSAGES = 12
LONGEST_TEXT = 72  # characters
POINT, CURVE, LIKED, DISLIKED, REFERENCE = "#9db8d2", "#1f4e79", "#bfdcc2", "#efc5bb", "#555555"

Ranked = Sequence[tuple[str, float]]


def rank_messages(
    messages_UC: MessageArray, reward_U: AnyArray, most: int = SHOWN_MESSAGES
) -> tuple[Ranked, Ranked]:
    """The messages that the reward likes best and least, as (text, reward), strongest first."""
    order = np.argsort(reward_U, kind="stable")
    worst, best = order[:most], order[::-1][:most]

    def named(chosen: AnyArray) -> Ranked:
        return [(shown(decode(messages_UC[u])), float(reward_U[u])) for u in chosen]

    return named(best), named(worst)


def shown(text: str) -> str:
    """A message as one short line."""
    line = printable(" ".join(text.split())) or "(empty message)"
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"


def draw_report(
    path: Path,
    *,
    title: str,
    episodes: dict[str, FloatArray],
    best: Ranked,
    worst: Ranked,
    reference: tuple[str, float] | None = None,
) -> None:
    """Write the picture (1600 x 1000 pixels, PNG) to ``path``.

    Args:
        episodes: columns of ``episodes.csv``.
        best: messages and their normalised reward, and so ``worst``.
        reference: name and return of a player to compare with, drawn as a line.
    """
    figure = Figure(figsize=(16, 10), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=17, fontweight="bold")
    ((game, intrinsic), (liked, disliked)) = figure.subplots(2, 2, height_ratios=(5, 6))
    if reference:
        name, value = reference
        game.axhline(value, color=REFERENCE, linestyle="--", label=f"{name}: {value:.1f}")
    _draw_curve(game, episodes, "return", "Game return")
    _draw_curve(intrinsic, episodes, "intrinsic_return", "Intrinsic return")
    _draw_messages(liked, best, LIKED, "Messages the reward likes best")
    _draw_messages(disliked, worst, DISLIKED, "Messages it likes least")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_curve(axes: Any, episodes: dict[str, FloatArray], column: str, title: str) -> None:
    steps, values = episodes["env_steps"], episodes[column]
    window = max(len(values) // 8, 5)
    axes.plot(steps, values, ".", color=POINT, markersize=7, label="one game")
    if len(values):
        mean = running_mean(values, window)
        axes.plot(steps, mean, color=CURVE, linewidth=3, label=f"mean of the last {window}")
        low, high = np.percentile(values, [0, 98])
        margin = 0.08 * max(high - low, 1e-6)
        axes.set_ylim(low - margin, max(high, mean.max()) + 3 * margin)
        above = {"loc": "lower right", "bbox_to_anchor": (1, 0.99), "ncols": 3}
        axes.legend(fontsize=12, frameon=False, handlelength=1.5, columnspacing=1.2, **above)
    style(axes, title, "environment steps")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k")
    axes.grid(alpha=0.3)


def _draw_messages(axes: Any, messages: Ranked, color: str, title: str) -> None:
    """Bars with the messages written over them, and their rewards at the right."""
    rewards = [reward for _, reward in messages]
    positions = np.arange(len(messages))[::-1]
    axes.barh(positions, rewards, color=color, height=0.82)
    axes.set_yticks([])
    far = max(rewards, key=abs, default=1.0) or 1.0
    near = min(rewards, default=0.0) if far > 0 else max(rewards, default=0.0)
    axes.set_xlim(0.0 if near * far >= 0 else near, 1.12 * far)  # bars grow to the right
    for position, (text, reward) in zip(positions, messages):
        # a message is no formula, though "$ - 12 gold pieces." looks like one
        axes.annotate(
            text,
            (0, position),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=12,
            parse_math=False,
        )
        axes.annotate(
            f"{reward:.2f}",
            (1, position),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            fontsize=12,
        )
    style(axes, title, "reward, normalised")


def style(axes: Any, title: str, xlabel: str) -> None:
    """What all axes of the project's pictures share."""
    axes.set_title(title, fontsize=14, loc="left")
    axes.set_xlabel(xlabel, fontsize=12)
    axes.tick_params(labelsize=12)
    axes.spines[["top", "right"]].set_visible(False)

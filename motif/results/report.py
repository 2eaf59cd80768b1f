"""One picture of a run: how the agent learnt, and which messages its reward likes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motif.drawing import COLORS, SOFT, new_figure, save_picture
from motif.messages import decode, printable
from motif.results.charts import draw_curve
from motif.results.episodes import FloatArray
from motif.types import AnyArray, MessageArray

SHOWN_MESSAGES = 12
LONGEST_TEXT = 72  # characters

Ranked = Sequence[tuple[str, float]]


def rank_messages(
    messages_UC: MessageArray, reward_U: AnyArray, most: int = SHOWN_MESSAGES
) -> tuple[Ranked, Ranked]:
    """The messages that the reward likes best and least, as (text, reward), strongest first."""
    order = np.argsort(reward_U, kind="stable")
    best, worst = (
        [(shown(decode(messages_UC[u])), float(reward_U[u])) for u in chosen]
        for chosen in (order[::-1][:most], order[:most])
    )
    return best, worst


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
    with new_figure(12.8, 8, dpi=125) as figure:
        figure.suptitle(title)
        ((game, intrinsic), (liked, disliked)) = figure.subplots(2, 2, height_ratios=(5, 6))
        draw_curve(game, episodes, "return", COLORS[0], None, points=True)
        draw_curve(intrinsic, episodes, "intrinsic_return", COLORS[0], None, points=True)
        game.set(title="Game return", xlabel="environment steps")
        intrinsic.set(title="Intrinsic return", xlabel="environment steps")
        if reference:
            name, value = reference
            game.axhline(value, color=SOFT, linestyle="--", label=f"{name}: {value:.1f}")
        if len(episodes["return"]):
            for axes in (game, intrinsic):
                axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3, fontsize=9)
        draw_messages(liked, best, COLORS[0], "Messages the reward likes best")
        draw_messages(disliked, worst, COLORS[1], "Messages it likes least")
    save_picture(path, figure)


def draw_messages(axes: Any, messages: Ranked, color: str, title: str, digits: int = 2) -> None:
    """Bars with the messages written over them, and their rewards at the right."""
    rewards = [reward for _, reward in messages]
    positions = np.arange(len(messages))[::-1]
    axes.barh(positions, rewards, color=color, alpha=0.28, height=0.82)
    axes.set_yticks([])
    far = max(rewards, key=abs, default=1.0) or 1.0
    near = min(rewards, default=0.0) if far > 0 else max(rewards, default=0.0)
    axes.set_xlim(0.0 if near * far >= 0 else near, 1.12 * far)  # bars grow to the right
    inside = axes.get_yaxis_transform()  # x from 0 at the left to 1 at the right
    for position, (text, reward) in zip(positions, messages):
        # a message is no formula, though "$ - 12 gold pieces." looks like one
        axes.text(0.01, position, text, transform=inside, va="center", parse_math=False, size=9.5)
        axes.text(
            1, position, f"{reward:.{digits}f}", transform=inside, ha="right", va="center", size=9.5
        )
    axes.set(title=title, xlabel="reward, normalised")

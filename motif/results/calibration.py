"""The picture of how sure a reward is: confidence against accuracy, and where heads disagree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from motif.drawing import COLORS, PALE, SOFT, new_figure
from motif.intervals import wilson
from motif.results.report import draw_messages

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def calibration_figure(figures: Mapping[str, Any]) -> Figure:
    """A reliability diagram with its 95 % intervals and, of several heads, the disputed messages.

    Args:
        figures: those of ``scripts.evaluate_reward``.
    """
    heads, error = figures["heads"], figures["calibration_error"]
    with new_figure(12.8 if figures["doubtful"] else 6.4, 5.4) as figure:
        panels: Any = figure.subplots(
            2, 2 if figures["doubtful"] else 1, height_ratios=(4, 1), squeeze=False
        )
        accuracy, pairs = panels[0][0], panels[1][0]
        measured = "-" if error is None else f"{error:.3f}"
        accuracy.set(title=f"Held-out pairs: calibration error {measured}", ylabel="accuracy")
        accuracy.plot([0.5, 1], [0.5, 1], "--", color=SOFT, linewidth=1.2, label="as sure as right")
        for number, (sure, share, count) in enumerate(figures["reliability"]):
            low, high = wilson(share * count, count)
            label = "pairs of one tenth of confidence, 95 %" if number == 0 else None
            bounds = [[max(share - low, 0)], [max(high - share, 0)]]
            accuracy.errorbar(sure, share, bounds, fmt="o", color=COLORS[0], label=label)
            pairs.bar(sure, count, width=0.03, color=PALE)
        accuracy.set_ylim(-0.03, 1.25)
        accuracy.legend(loc="upper left")
        pairs.set(xlabel="confidence in the preferred side", ylabel="pairs", yscale="log")
        for axes in (accuracy, pairs):
            axes.set_xlim(0.48, 1.02)
            axes.grid(True)
        if figures["doubtful"]:
            grid = panels[0][1].get_gridspec()
            for axes in panels[:, 1]:
                axes.remove()
            title = f"Messages on which the {heads} heads differ most"
            doubts = figure.add_subplot(grid[:, 1])
            draw_messages(doubts, figures["doubtful"], COLORS[1], title, digits=3)
            doubts.set_xlabel("deviation of the probability that it is better than the mean")
    return figure

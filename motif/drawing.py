"""Pictures by matplotlib, in one style; it is imported when the first of them is drawn."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.atomic_write import atomic_write
from motif.types import AnyArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7a5195", "#4d4d4d")
INK, SOFT, PALE, OTHERS = "#1c2733", "#3b4754", "#b9c2cc", "#d5dbe1"
LABEL_COLORS = {"first": COLORS[0], "second": COLORS[4], "tie": OTHERS, "unknown": COLORS[5]}
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a96a3",
    "axes.labelcolor": SOFT,
    "axes.axisbelow": True,
    "xtick.color": "#5b6875",
    "ytick.color": "#5b6875",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.titleweight": "bold",
    "figure.titlesize": 14,
    "grid.color": "#e6eaee",
    "legend.frameon": False,
    "svg.hashsalt": "motif",  # the same figure is the same file
}


def import_matplotlib() -> Any:
    """matplotlib, whatever MPLBACKEND says.

    A notebook's environment names a back end that need not be installed here; importing matplotlib
    would fail, though pictures that go into files need none. Where there is one it still holds.
    """
    named = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    import matplotlib.figure

    if named is not None:
        os.environ["MPLBACKEND"] = named
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = named
    return matplotlib


@contextlib.contextmanager
def new_figure(width: float, height: float, dpi: int = 100) -> Iterator[Figure]:
    """A figure of so many inches; what is drawn in the context has the project's style."""
    matplotlib = import_matplotlib()
    with matplotlib.rc_context(STYLE):
        yield matplotlib.figure.Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def save_picture(path: Path, figure: Figure, kind: str = "png", dpi: float | None = None) -> Path:
    """Write ``figure`` as a PNG or a PDF, whole or not at all."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=dpi or figure.dpi)
    return path


def as_svg(figure: Figure) -> bytes:
    """The figure's SVG, the same whenever it is drawn."""
    buffer = io.BytesIO()
    with import_matplotlib().rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def stacked_bars(
    axes: Any, labels: Sequence[str], parts: Sequence[tuple[str, str, AnyArray]]
) -> None:
    """A row for each label, from the top; ``parts`` are a colour, a name and a length for each."""
    left = np.zeros(len(labels))
    for color, name, length in parts:
        axes.barh(range(len(labels)), length, left=left, color=color, label=name, height=0.72)
        left = left + length
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.spines["left"].set_visible(False)


def plain_label(label: str) -> str:
    """A label that matplotlib takes for text: no formula, and shown in the legend."""
    return label.replace("$", r"\$").lstrip("_") or "run"


def thousands(value: float, _: float) -> str:
    """A tick of environment steps: 200k, 1.5M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value else "0"

"""One HTML page that needs nothing but itself: no network, no script, opened from a file.

What is not ``Markup`` is text and gets escaped: game messages, names and paths are data.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from motif.atomic_write import atomic_write
from motif.drawing import as_svg
from motif.intervals import wilson
from motif.messages import printable
from motif.templates import TEMPLATES, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float | None  # of a table; text that is no message is Markup


@dataclass(frozen=True)
class Section:
    """A part of the page with its heading; ``anchor`` is its name in links."""

    anchor: str
    title: str
    body: Markup


def fill(name: str, **content: Any) -> Markup:
    """The words of a section, by its name in ``sections.html``, around ``content``."""
    body: Markup = getattr(TEMPLATES.get_template("results/sections.html").module, name)(**content)
    return body


def percent(share: float) -> str:
    """0.123 as 12.3 %."""
    return f"{100 * share:.1f} %"


def rate(successes: float, trials: int) -> tuple[str, Markup]:
    """A share, and its 95 % interval."""
    if not trials:
        return "–", Markup("–")
    low, high = wilson(successes, trials)
    return percent(successes / trials), Markup(f"{percent(low)} to {percent(high)}")


def table_cell(value: Cell) -> Markup:
    """Numbers and ``Markup`` at the right, text at the left."""
    if isinstance(value, Markup) and value.startswith("<td"):
        return value
    kind = "text" if isinstance(value, str) and not isinstance(value, Markup) else "number"
    return Markup('<td class="{}">{}</td>').format(kind, shown(value))


TEMPLATES.filters["table_cell"] = table_cell


def shaded(value: float, limit: float) -> Markup:
    """A cell whose colour says how far ``value`` is from 0: blue above, orange below."""
    strength = min(abs(value) / limit, 1.0) if limit > 0 else 0.0
    rgb = "0,114,178" if value > 0 else "213,94,0"
    return Markup(
        f'<td class="number" style="background:rgba({rgb},{0.55 * strength:.2f})">{value:+.2f}</td>'
    )


def bar(value: float, limit: float, text: str) -> Markup:
    """A cell with a bar of length ``value / limit`` and a label."""
    width = 100 * min(abs(value) / limit, 1.0) if limit > 0 else 0.0
    cell = '<td class="bar"><i class="{}" style="width:{:.1f}%"></i><span>{}</span></td>'
    return Markup(cell).format("below" if value < 0 else "above", width, printable(text))


def picture(figure: Figure, description: str) -> Markup:
    """A matplotlib figure as an image inside the page; as an image it can run no script."""
    source = base64.b64encode(as_svg(figure)).decode()
    image = '<img alt="{}" src="data:image/svg+xml;base64,{}">'
    return Markup(image).format(printable(description), source)


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    page = TEMPLATES.get_template("results/page.html")
    return page.render(title=title, subtitle=subtitle, sections=sections)


def write_page(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> None:
    """Write the page, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(render(title, subtitle, sections), encoding="utf-8")

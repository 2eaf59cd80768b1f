"""One HTML page that needs nothing but itself: no network, no script, opened from a file.

What is not :class:`Html` is text and gets escaped: game messages, names and paths are data.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motif.atomic_write import atomic_write
from motif.messages import printable

STYLE = Path(__file__).with_name("page.css")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Html(str):
    """Source that is safe to put into a page."""


Cell = str | int | float | None


@dataclass(frozen=True)
class Section:
    """A part of the page with its heading; ``anchor`` is its name in links."""

    anchor: str
    title: str
    body: Sequence[Html]


def escape(value: Cell) -> Html:
    """``value`` as source: numbers shortened, control characters shown, markup made harmless."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("–")
    text = value if isinstance(value, str) else number(value)
    return Html(html.escape(printable(text)))


def number(value: float) -> str:
    """Thousands with commas, otherwise three or four digits that matter."""
    if value != value:
        return "–"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def percent(share: float) -> str:
    """0.123 as 12.3 %."""
    return f"{100 * share:.1f} %"


def paragraph(text: str) -> Html:
    """A paragraph of plain text."""
    return Html(f"<p>{escape(text)}</p>")


def note(text: str) -> Html:
    """How to read what stands above it."""
    return Html(f'<p class="note">{escape(text)}</p>')


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], wide: int = 0) -> Html:
    """Numbers at the right, text at the left.

    Args:
        wide: the column that takes the room that is left.
    """
    head = "".join(
        f"<th{' class=wide' if column == wide else ''}>{escape(name)}</th>"
        for column, name in enumerate(header)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return Html(
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )


def _cell(value: Cell) -> str:
    if isinstance(value, Html) and value.startswith("<td"):
        return value
    kind = "text" if isinstance(value, str) and not isinstance(value, Html) else "number"
    return f'<td class="{kind}">{escape(value)}</td>'


def shaded(value: float, limit: float) -> Html:
    """A cell whose colour says how far ``value`` is from 0: blue above, orange below."""
    strength = min(abs(value) / limit, 1.0) if limit > 0 else 0.0
    rgb = "0,114,178" if value > 0 else "213,94,0"
    style = f"background:rgba({rgb},{0.55 * strength:.2f})"
    return Html(f'<td class="number" style="{style}">{escape(f"{value:+.2f}")}</td>')


def bar(value: float, limit: float, shown: str) -> Html:
    """A cell with a bar of length ``value / limit`` and a label."""
    width = 100 * min(max(abs(value) / limit, 0.0), 1.0) if limit > 0 else 0.0
    kind = "below" if value < 0 else "above"
    return Html(
        f'<td class="bar"><i class="{kind}" style="width:{width:.1f}%"></i>'
        f"<span>{escape(shown)}</span></td>"
    )


def cards(values: Iterable[tuple[str, Cell, str]]) -> Html:
    """Large figures: (what, value, remark)."""
    return Html(
        '<div class="cards">'
        + "".join(
            f"<div><b>{escape(value)}</b><span>{escape(what)}</span><small>{escape(remark)}"
            "</small></div>"
            for what, value, remark in values
        )
        + "</div>"
    )


def columns(*parts: Html) -> Html:
    """Side by side where there is room."""
    return Html(
        '<div class="columns">' + "".join(f"<div>{part}</div>" for part in parts) + "</div>"
    )


def heading(text: str) -> Html:
    """A heading inside a section."""
    return Html(f"<h3>{escape(text)}</h3>")


def picture(figure: Any, description: str) -> Html:
    """A matplotlib figure as an image inside the page; as an image it can run no script."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return Html(f'<img alt="{escape(description)}" src="data:image/svg+xml;base64,{encoded}">')


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    links = "".join(f'<a href="#{part.anchor}">{escape(part.title)}</a>' for part in sections)
    body = "".join(
        f'<section id="{part.anchor}"><h2>{escape(part.title)}</h2>{"".join(part.body)}</section>'
        for part in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p><nav>{links}</nav></header>"
        f"<main>{body}</main></body></html>\n"
    )


def write_page(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> None:
    """Write the page, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(render(title, subtitle, sections), encoding="utf-8")

"""Pages and Markdown from templates; what is put into one is data, and is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from motif.messages import printable


def number(value: float) -> str:
    """Thousands with commas, otherwise three or four digits that matter."""
    if value != value:
        return "–"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"


def shown(value: Any) -> Any:
    """``value`` as a template shows it: numbers shortened, control characters made visible."""
    if value is None:
        return "–"
    if isinstance(value, (int, float)):
        return number(value)
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),  # by path inside the package
    autoescape=select_autoescape(["html"]),
    finalize=shown,  # of whatever an expression of a template gives
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

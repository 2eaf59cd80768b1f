"""Pages that stand alone, whatever text is put into them."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from motif.drawing import new_figure
from motif.results import page
from motif.results.page import Section, fill
from motif.templates import TEMPLATES

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\x00\"'&"


class Elements(HTMLParser):
    """Names and attributes of all elements, and the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def everything(text: str) -> Markup:
    cells = [[text], [1.5], [None], [page.bar(0.5, 1.0, text)]]
    return Markup("").join(
        [
            fill("table", header=[text], rows=cells),
            fill("glance", values=[(text, text, text)], signs=[text]),
            fill("kinds", names=[text, text], rows=[]),
            fill("goals", names=[text], kind_rows=cells, best=cells, correlations=cells),
        ]
    )


@given(st.text() | st.just(HOSTILE))
def test_text_stays_text(text):
    source = page.render(text, text, [Section("here", text, everything(text))])
    elements = Elements(source)
    known = Elements(page.render("a", "a", [Section("here", "a", everything("a"))]))
    assert [name for name, _ in elements.found] == [name for name, _ in known.found]
    assert [attributes for _, attributes in elements.found] == [
        attributes for _, attributes in known.found
    ]
    assert all(character.isprintable() or character == "\n" for character in elements.text)


def test_nothing_is_fetched_and_no_script_can_run():
    with new_figure(6, 4) as figure:
        figure.subplots().set_title(HOSTILE.replace("\0", "").replace("\x1b", ""))
    body = everything(HOSTILE) + page.picture(figure, HOSTILE)
    source = page.render("title", "subtitle", [Section("a", "b", body)])
    assert "http://" not in source and "https://" not in source
    elements = Elements(source)
    assert not {"script", "link", "iframe"} & {name for name, _ in elements.found}
    images = [attributes["src"] for name, attributes in elements.found if name == "img"]
    assert len(images) == 1 and images[0].startswith("data:image/svg+xml;base64,")
    (policy,) = [a["content"] for _, a in elements.found if a.get("http-equiv")]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_page_is_whole_or_not_there(tmp_path):
    path = tmp_path / "folder/report.html"
    page.write_page(path, "t", "s", [])
    before = path.read_text()
    assert before.endswith("</html>\n")
    with pytest.raises(UnicodeEncodeError):
        page.write_page(path, "t", "s", [Section("a", "b", Markup("\ud800"))])
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (7, "7"),
        (1234567, "1,234,567"),
        (1234.5, "1,234"),
        (0.12345, "0.123"),
        (123.456, "123.5"),
        (-0.5, "-0.5"),
        ("a < b", "a &lt; b"),
        (Markup("<b>"), "<b>"),
    ],
)
def test_cells(value, text):
    assert TEMPLATES.from_string("{{ value }}").render(value=value) == text


@pytest.mark.parametrize(
    ("value", "limit", "style"),
    [
        (2.0, 2.0, "rgba(0,114,178,0.55)"),
        (-1.0, 2.0, "rgba(213,94,0,0.28)"),
        (9.0, 2.0, "0.55"),
        (1.0, 0.0, "0.00"),
    ],
)
def test_shades(value, limit, style):
    assert style in page.shaded(value, limit)


@pytest.mark.parametrize(
    ("value", "limit", "width"), [(1, 2, "50.0%"), (-3, 2, "100.0%"), (1, 0, "0.0%")]
)
def test_bars(value, limit, width):
    cell = page.bar(value, limit, "x")
    assert f"width:{width}" in cell
    assert ("below" in cell) == (value < 0)


def test_a_picture_is_the_same_whenever_it_is_drawn():
    with new_figure(6, 4) as figure:
        figure.subplots().plot([1, 2])
    assert page.picture(figure, "a") == page.picture(figure, "a")

"""The page of differences: each entry has its reason, and names the tests that hold it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROWS = [
    line.strip("|").split(" | ")
    for line in (ROOT / "docs/differences.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| the release | here", "| ---"))
]


def collected_from(file: Path) -> set[str]:
    """The tests that pytest would collect from a file."""
    body = ast.parse(file.read_text()).body if file.is_file() else []
    return {
        function.name
        for function in body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
    }


def test_the_page_has_entries():
    assert len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip()[:40])
def test_an_entry_has_its_reason_and_its_tests(row):
    release, here, why, tests = (cell.strip() for cell in row)
    assert release and here and why
    named = re.findall(r"`([^`]+)`", tests)
    assert named and tests == ", ".join(f"`{name}`" for name in named)
    for name in named:
        file, _, test = name.partition("::")
        assert test in collected_from(ROOT / file), name


def test_a_test_that_is_not_there_is_noticed():
    assert "test_the_page_has_entries" in collected_from(Path(__file__))
    assert "collected_from" not in collected_from(Path(__file__))
    assert collected_from(ROOT / "tests/no_such_file.py") == set()

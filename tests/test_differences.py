"""The page of differences: each entry has its reason, and a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROWS = [
    line.strip("|").split(" | ")
    for line in (ROOT / "docs/differences.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| the release | here", "| ---"))
]


def test_the_page_has_entries():
    assert len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip()[:40])
def test_an_entry_has_its_reason_and_its_test(row):
    release, here, why, tests = (cell.strip() for cell in row)
    assert release and here and why
    files = re.findall(r"`(tests/[^`]+\.py)`", tests)
    assert files
    for name in files:
        assert (ROOT / name).is_file(), name

"""``games.csv`` of an evaluation, and whether it is of the same games."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from motif.atomic_write import atomic_write
from motif.errors import ConfigError

SETTINGS, GAMES = "evaluation.json", "games.csv"

Row = Mapping[str, Any]


def rows_so_far(folder: Path, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The games that an earlier run of this evaluation ended."""
    if not (folder / SETTINGS).exists():
        if (folder / GAMES).exists():
            raise ConfigError(
                f"{folder / GAMES} is there without {SETTINGS}; choose another --output"
            )
        return []
    try:
        before = json.loads((folder / SETTINGS).read_text())["settings"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{folder / SETTINGS} is damaged or of something else; delete it with {GAMES}, or "
            "choose another --output"
        ) from None
    for name, value in settings.items():
        if before.get(name) != value:
            raise ConfigError(
                f"{folder} holds games with {name} {before.get(name)}, not {value}; choose another "
                "--output"
            )
    return list(read_games(folder / GAMES))


def read_games(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a ``games.csv`` that are whole; numbers as numbers."""
    if not path.exists():
        return
    whole, _, _ = path.read_text().rpartition("\n")
    for row in csv.DictReader(whole.splitlines()):
        if None not in row and None not in row.values():
            yield {name: _value(name, text) for name, text in row.items()}


def _value(name: str, text: str) -> Any:
    if name in ("player", "end"):
        return text
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def append_rows(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to the file, which is whole at any moment, in the order of players and games."""
    rows = sorted([*read_games(path), *rows], key=lambda row: (row["player"], row["number"]))
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)

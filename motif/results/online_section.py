"""The report's section on labels made while training: how the reward came to be what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from motif.results.page import Cell, Section, fill, percent, shaded
from motif.results.report import shown

HISTORY = Path("online", "versions.jsonl")  # of a run
COLUMNS = 6  # versions, evenly spaced, the first and the last among them
ROWS = 20  # messages, those met most often

Version = dict[str, Any]


def read_history(run_folder: Path) -> list[Version]:
    """A line for each version of the reward; what a crash left between them is dropped."""
    path, found = run_folder / HISTORY, []
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        try:
            version = json.loads(line)
            if version["messages"].items() and version["reward_version"] > 0:
                found.append(version)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def online_section(history: list[Version]) -> Section:
    """How labels came in, and how the reward of the commonest messages moved."""
    picked = np.unique(np.linspace(0, len(history) - 1, COLUMNS).round().astype(int))
    versions = [history[number] for number in picked]
    head = [f"version {version['reward_version']}" for version in versions]
    known: list[list[Cell]] = [
        ["observations", *(version["steps"] for version in versions)],
        ["labels", *(version["labels"] for version in versions)],
        ["waiting", *(version["backlog"] for version in versions)],
        ["share labelled", *(percent(version["labelled_share"]) for version in versions)],
    ]
    rewards = [version["messages"] for version in versions]
    limit = max((abs(value) for one in rewards for value in one.values()), default=1.0)
    rows: list[list[Cell]] = []
    for name in list(rewards[-1])[:ROWS]:
        cells = [shaded(one[name], limit) if name in one else None for one in rewards]
        rows.append([shown(name), *cells])
    body = fill("online", head=["", *head], known=known, rows=rows)
    return Section("online", "How the reward was learnt", body)

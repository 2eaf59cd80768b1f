"""Where an agent's intrinsic reward comes from: messages and what they paid, by checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import write_json
from motif.errors import CheckpointError
from motif.results.episodes import FloatArray

INCOME_FILE = "messages_paid.json"  # in a run folder
MESSAGES_KEPT = 200  # of each checkpoint, those that paid most


@dataclass(frozen=True)
class Paid:
    """One message in the games of one checkpoint."""

    message: str
    seen: int
    paid: float  # intrinsic reward, weighted by llm_reward


@dataclass(frozen=True)
class Income:
    """Some games played by one policy of a run."""

    env_steps: int  # of the policy
    games: int
    steps: int
    game_return: float  # mean of a game: the task's own
    intrinsic_return: float  # mean of a game
    paid: float  # sum of all payments above zero, in all games
    messages: Sequence[Paid]  # the largest first, at most MESSAGES_KEPT

    def shares(self) -> dict[str, float]:
        """The part of all payments that each message made."""
        paid = {entry.message: entry.paid for entry in self.messages if entry.paid > 0}
        return {text: value / self.paid for text, value in paid.items()}


def top_messages(
    seen: Mapping[str, int], paid: Mapping[str, float], most: int = MESSAGES_KEPT
) -> list[Paid]:
    """The messages that paid most."""
    order = sorted(paid, key=lambda text: (-paid[text], text))[:most]
    return [Paid(text, seen[text], paid[text]) for text in order]


def write_income(path: Path, settings: Mapping[str, Any], incomes: Sequence[Income]) -> None:
    """Keep what was played, with the settings it was played under."""
    write_json(path, {"settings": settings, "checkpoints": [asdict(entry) for entry in incomes]})


def read_income(path: Path) -> list[Income]:
    """What :func:`write_income` wrote; nothing if there is no such file.

    Raises:
        CheckpointError: it is damaged.
    """
    if not path.is_file():
        return []
    try:
        return [
            Income(**{**entry, "messages": [Paid(**paid) for paid in entry["messages"]]})
            for entry in json.loads(path.read_text())["checkpoints"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); delete it, or play again: --play 5"
        ) from None


def share_table(incomes: Sequence[Income], most: int) -> tuple[list[str], FloatArray]:
    """The ``most`` messages with the largest share at any checkpoint, and shares (C, S)."""
    shares = [income.shares() for income in incomes]
    peak: dict[str, float] = {}
    for by_text in shares:
        for text, share in by_text.items():
            peak[text] = max(peak.get(text, 0.0), share)
    names = sorted(peak, key=lambda text: (-peak[text], text))[:most]
    table = np.array([[by_text.get(name, 0.0) for name in names] for by_text in shares])
    return names, table.reshape(len(incomes), len(names))

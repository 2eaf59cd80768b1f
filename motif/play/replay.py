"""A game as one HTML page: its screens, a slider, and the rewards under it.

The page holds each screen as what changed since the one before, as compressed JSON in base64: a
game of 5,000 steps stays well below a megabyte, and no text of the game is ever part of the page's
source. ``replay.html``'s script draws it.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import atomic_write
from motif.messages import decode, printable
from motif.play.gif import INKS
from motif.templates import TEMPLATES
from motif.types import AnyArray

TEMPLATE = "play/replay.html"
ROWS, COLUMNS = 24, 80
LONGEST_GAP = 4  # unchanged cells that are sent along, rather than beginning another run


class Replay:
    """Collects the steps of one game.

    Args:
        title, subtitle: plain text over the page.
    """

    def __init__(self, title: str, subtitle: str) -> None:
        self._heading = title, subtitle
        self._chars: AnyArray = np.full(ROWS * COLUMNS, ord(" "), np.uint8)
        self._colors: AnyArray = np.zeros(ROWS * COLUMNS, np.uint8)
        self._messages: dict[bytes, int] = {}
        self._worth: list[float | None] = []  # of each message
        self._steps: list[list[Any]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def add(
        self,
        screen: tuple[AnyArray, AnyArray] | None,
        message: bytes,
        *,
        worth: float | None,
        count: int,
        reward: float,
        intrinsic: float,
    ) -> None:
        """One step.

        Args:
            screen: ``tty_chars`` and ``tty_colors`` (24, 80); None: as before.
            worth: normalised reward of ``message``; None without a reward model.
            count: how often the game has shown it.
            reward: the task's own, paid with this step; ``intrinsic`` likewise.
        """
        if message not in self._messages:
            self._messages[message] = len(self._messages)
            self._worth.append(None if worth is None else round(worth, 4))
        changes = [] if screen is None else self._changes(*screen)
        known = self._messages[message]
        self._steps.append([known, count, round(reward, 4), round(intrinsic, 6), *changes])

    def _changes(self, tty_chars: AnyArray, tty_colors: AnyArray) -> list[Any]:
        """Position, characters and colours (hexadecimal digits) of each run that changed."""
        chars = tty_chars.ravel().astype(np.uint8)
        colors = tty_colors.ravel().astype(np.uint8) & 15
        changed = np.flatnonzero((chars != self._chars) | (colors != self._colors))
        runs: list[Any] = []
        if len(changed):
            for run in np.split(changed, np.flatnonzero(np.diff(changed) > LONGEST_GAP) + 1):
                part = slice(run[0], run[-1] + 1)
                text = "".join(c if c.isprintable() else " " for c in map(chr, chars[part]))
                runs += [int(run[0]), text, "".join(f"{color:x}" for color in colors[part])]
        self._chars, self._colors = chars, colors
        return runs

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        content = {
            "messages": [printable(decode(message)) for message in self._messages],
            "worth": self._worth,
            "steps": self._steps,
        }
        packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)
        title, subtitle = self._heading
        page = TEMPLATES.get_template(TEMPLATE).render(
            title=title, subtitle=subtitle, inks=INKS, data=base64.b64encode(packed).decode()
        )
        with atomic_write(path) as temporary:
            temporary.write_text(page, encoding="utf-8")

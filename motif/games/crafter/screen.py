"""Crafter's map as a terminal would show it."""

from __future__ import annotations

import numpy as np

from motif.games.game import SCREEN, Screen
from motif.types import AnyArray

# In the order of the package's map: its materials, then what lives. Character and colour.
SEEN = {
    "nothing": " 0",
    "water": "~c",
    "grass": ".2",
    "stone": "#7",
    "path": ":8",
    "sand": ".b",
    "tree": "Ta",
    "lava": "%9",
    "coal": "c8",
    "iron": "i3",
    "diamond": "*e",
    "table": "t3",
    "furnace": "f9",
    "player": "@f",
    "cow": "Cf",
    "zombie": "Za",
    "skeleton": "Sf",
    "arrow": "/f",
    "plant": "pa",
}
NAMES = tuple(SEEN)
CHARACTERS = np.array([ord(symbol[0]) for symbol in SEEN.values()], np.uint8)
COLORS = np.array([int(symbol[1], 16) for symbol in SEEN.values()], np.int8)


def draw_map(seen: AnyArray) -> Screen:
    """The rows of a map (width, height) of indices into :data:`NAMES` around the player."""
    rows, columns = SCREEN
    shown = np.zeros(SCREEN, np.uint8)
    _, y = np.argwhere(seen == NAMES.index("player"))[0] if seen.any() else (0, 0)
    top = max(min(y - rows // 2, seen.shape[1] - rows), 0)
    part = seen[:columns, top : top + rows].T
    shown[: part.shape[0], : part.shape[1]] = part
    return CHARACTERS[shown], COLORS[shown]

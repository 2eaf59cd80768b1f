"""What the policy sees: a picture of the screen around the hero, scaled status, the message.

The observation stack ``nle_fixed_eat_action`` of the release (paper, appendix on the agent). The
picture is a pure function of 12x12 (character, colour) cells, so the cells can travel in its place
(54 times smaller) and be drawn where they are used: :func:`draw`, or the policy's encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from motif.blstats import BLSTATS_CLIP, BLSTATS_SIZE, X, Y, scale_blstats
from motif.compiled import compiled
from motif.messages import MESSAGE_LENGTH
from motif.types import AnyArray

CROP = 12  # cells a side
TILE = 6  # pixels a side of one cell
NUM_COLORS = 16
SCREEN_ROWS, SCREEN_COLUMNS = 24, 80
BLANK = ord(" ")
REACH = CROP // 2  # cells above and to the left of (x, y)

# The 16 VGA colours; 7 and 8 are the two greys.
PALETTE = np.array(
    [
        (0x00, 0x00, 0x00),
        (0x80, 0x00, 0x00),
        (0x00, 0x80, 0x00),
        (0x80, 0x80, 0x00),
        (0x00, 0x00, 0x80),
        (0x80, 0x00, 0x80),
        (0x00, 0x80, 0x80),
        (0x80, 0x80, 0x80),
        (0xC0, 0xC0, 0xC0),
        (0xFF, 0x00, 0x00),
        (0x00, 0xFF, 0x00),
        (0xFF, 0xFF, 0x00),
        (0x00, 0x00, 0xFF),
        (0xFF, 0x00, 0xFF),
        (0x00, 0xFF, 0xFF),
        (0xFF, 0xFF, 0xFF),
    ],
    dtype=np.uint8,
)


def crop_cells(tty_chars: AnyArray, tty_colors: AnyArray, x: int, y: int) -> NDArray[np.int16]:
    """The 12x12 cells around the hero: character + 256 * colour; 0 off the screen.

    Rows are those of the terminal while ``y`` is the map's, which lies one row lower: the hero is
    at row 7, column 6 of the crop.

    Args:
        tty_chars, tty_colors: (24, 80).
        x, y: the hero's map position, from blstats.
    """
    cells = np.empty((CROP, CROP), np.int16)  # made here: numba's own arrays are slow to hand out
    _crop(tty_chars, tty_colors, x, y, cells)
    return cells


@compiled()
def _crop(tty_chars: AnyArray, tty_colors: AnyArray, x: int, y: int, cells: AnyArray) -> None:
    for i in range(CROP):
        row = y - REACH + i
        for j in range(CROP):
            column = x - REACH + j
            if 0 <= row < SCREEN_ROWS and 0 <= column < SCREEN_COLUMNS:
                color = tty_colors[row, column] & (NUM_COLORS - 1)
                cells[i, j] = tty_chars[row, column] + 256 * color
            else:
                cells[i, j] = 0


@lru_cache(maxsize=1)
def tiles() -> NDArray[np.uint8]:
    """Each cell drawn once: (4096, 3, 6, 6), indexed by character + 256 * colour.

    ``font.npy`` holds how much of each pixel a character covers (see tools/draw_font.py); a tile is
    that times the colour.
    """
    coverage = np.load(Path(__file__).with_name("font.npy")).astype(np.float64) / 255
    drawn = PALETTE[:, None, :, None, None] * coverage[None, :, None]  # (16, 256, 3, 6, 6)
    rounded: NDArray[np.uint8] = np.rint(drawn).astype(np.uint8)
    return rounded.reshape(NUM_COLORS * 256, 3, TILE, TILE)


def draw(cells: AnyArray) -> NDArray[np.uint8]:
    """(12, 12) cells to the (3, 72, 72) RGB picture."""
    picture = np.zeros((3, CROP * TILE, CROP * TILE), np.uint8)
    _draw(cells, tiles(), picture)
    return picture


@compiled()
def _draw(cells: AnyArray, drawn: AnyArray, picture: AnyArray) -> None:
    for i in range(CROP):
        for j in range(CROP):
            cell = cells[i, j]
            if cell % 256 in (0, BLANK):  # most cells of a dungeon
                continue
            for channel in range(3):
                for row in range(TILE):
                    for column in range(TILE):
                        picture[channel, i * TILE + row, j * TILE + column] = drawn[
                            cell, channel, row, column
                        ]


_MESSAGE = spaces.Box(0, 255, (MESSAGE_LENGTH,), np.uint8)
PICTURE_SPACE = spaces.Dict(
    {
        "picture": spaces.Box(0, 255, (3, CROP * TILE, CROP * TILE), np.uint8),
        "vector_obs": spaces.Box(-BLSTATS_CLIP, BLSTATS_CLIP, (BLSTATS_SIZE,), np.float32),
        "message": _MESSAGE,
    }
)
COMPACT_SPACE = spaces.Dict(
    {
        "cells": spaces.Box(0, NUM_COLORS * 256 - 1, (CROP, CROP), np.int16),
        "blstats": spaces.Box(-(2**63), 2**63 - 1, (BLSTATS_SIZE,), np.int64),
        "message": _MESSAGE,
    }
)


def compact_observation(observation: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """What picture and scaled status are made of, as fresh arrays: :data:`COMPACT_SPACE`."""
    blstats = observation["blstats"]
    x, y = blstats.item(X), blstats.item(Y)
    return {
        "cells": crop_cells(observation["tty_chars"], observation["tty_colors"], x, y),
        "blstats": blstats.copy(),
        "message": observation["message"].copy(),
    }


def picture_observation(observation: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """What the policy of the paper reads, as fresh arrays: :data:`PICTURE_SPACE`."""
    compact = compact_observation(observation)
    return {
        "picture": draw(compact["cells"]),
        "vector_obs": scale_blstats(compact["blstats"]),
        "message": compact["message"],
    }

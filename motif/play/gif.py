"""A stretch of a game as an animated GIF, for a README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from motif.atomic_write import atomic_write
from motif.drawing import import_matplotlib
from motif.games.game import Screen
from motif.types import AnyArray

FONT = "fonts/ttf/DejaVuSansMono.ttf"  # matplotlib's own
FONT_SIZE, CELL_WIDTH, CELL_HEIGHT = 13, 8, 16  # pixels
LEVELS = 4  # of a letter's edge, between paper and ink
PAPER = "#11151b"
INKS = (  # the terminal's 16 colours, in replays too
    *("#6d8fe8", "#e0636c", "#79b866", "#c99a4b", "#5f8fe8", "#c678dd", "#56b6c2", "#c5cbd3"),
    *("#8d97a3", "#ff8f70", "#98e07f", "#ffe070", "#82a8ff", "#f09aff", "#80e8f4", "#ffffff"),
)


@lru_cache(maxsize=1)
def tiles() -> NDArray[np.uint8]:
    """(256, CELL_HEIGHT, CELL_WIDTH): how much ink each pixel of a character has, 0 to LEVELS-1."""
    font = ImageFont.truetype(str(Path(import_matplotlib().get_data_path(), FONT)), FONT_SIZE)
    drawn = np.zeros((256, CELL_HEIGHT, CELL_WIDTH), np.uint8)
    for code in range(256):
        if chr(code).isprintable():
            cell = Image.new("L", (CELL_WIDTH, CELL_HEIGHT))
            ImageDraw.Draw(cell).text((0, 0), chr(code), fill=255, font=font)
            drawn[code] = np.round(np.asarray(cell) / 255 * (LEVELS - 1))
    return drawn


def palette() -> list[int]:
    """Red, green and blue of each colour at each level, in the order of the pictures' values."""
    paper, *inks = (np.array(ImageColor.getrgb(name)) for name in (PAPER, *INKS))
    share = np.arange(LEVELS)[:, None] / (LEVELS - 1)
    colors = [paper + share * (ink - paper) for ink in inks]
    return [int(value) for value in np.round(colors).ravel()]


def draw_screen(chars: AnyArray, colors: AnyArray) -> Image.Image:
    """A screen of any size as a picture with :func:`palette`."""
    rows, columns = chars.shape
    values = tiles()[chars] + (LEVELS * (colors & 15).astype(np.uint8))[:, :, None, None]
    pixels = values.transpose(0, 2, 1, 3).reshape(rows * CELL_HEIGHT, columns * CELL_WIDTH)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.putpalette(palette())
    return picture


def with_caption(chars: AnyArray, colors: AnyArray, text: str) -> Screen:
    """The screen with a line of ``text`` under it (and copied, as NLE reuses its arrays)."""
    columns = chars.shape[1]
    line = text.encode("latin-1", "replace")[:columns].ljust(columns)
    caption = np.frombuffer(line, np.uint8)
    below = np.stack([np.full(columns, ord(" "), np.uint8), caption])
    return np.vstack([chars, below]), np.vstack([colors, np.full((2, columns), 11, np.int8)])


def write_gif(path: Path, screens: Sequence[Screen], milliseconds: int) -> None:
    """Write the screens (at least one) as a film that repeats, whole or not at all."""
    first, *rest = screens
    pictures: Iterator[Image.Image] = (draw_screen(*screen) for screen in rest)
    options = {"save_all": True, "duration": milliseconds, "loop": 0, "optimize": False}
    with atomic_write(path) as temporary:
        draw_screen(*first).save(temporary, "GIF", append_images=pictures, **options)

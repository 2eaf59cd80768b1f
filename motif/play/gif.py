"""A stretch of a game as an animated GIF, for a README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from motif.atomic_write import atomic_write
from motif.types import AnyArray

FONT = "fonts/ttf/DejaVuSansMono.ttf"  # matplotlib's own
FONT_SIZE, CELL_WIDTH, CELL_HEIGHT = 13, 8, 16  # pixels
LEVELS = 4  # of a letter's edge, between paper and ink
PAPER = np.array((0x11, 0x15, 0x1B))
INKS = np.array(
    [
        *((0x6D, 0x8F, 0xE8), (0xE0, 0x63, 0x6C), (0x79, 0xB8, 0x66), (0xC9, 0x9A, 0x4B)),
        *((0x5F, 0x8F, 0xE8), (0xC6, 0x78, 0xDD), (0x56, 0xB6, 0xC2), (0xC5, 0xCB, 0xD3)),
        *((0x8D, 0x97, 0xA3), (0xFF, 0x8F, 0x70), (0x98, 0xE0, 0x7F), (0xFF, 0xE0, 0x70)),
        *((0x82, 0xA8, 0xFF), (0xF0, 0x9A, 0xFF), (0x80, 0xE8, 0xF4), (0xFF, 0xFF, 0xFF)),
    ]
)

Screen = tuple[AnyArray, AnyArray]  # characters and colours, (rows, columns)


@lru_cache(maxsize=1)
def tiles() -> NDArray[np.uint8]:
    """(256, CELL_HEIGHT, CELL_WIDTH): how much ink each pixel of a character has, 0 to LEVELS-1."""
    font = ImageFont.truetype(str(Path(get_data_path()) / FONT), FONT_SIZE)
    drawn = np.zeros((256, CELL_HEIGHT, CELL_WIDTH), np.uint8)
    for code in range(256):
        if chr(code).isprintable():
            cell = Image.new("L", (CELL_WIDTH, CELL_HEIGHT))
            ImageDraw.Draw(cell).text((0, 0), chr(code), fill=255, font=font)
            drawn[code] = np.round(np.asarray(cell) / 255 * (LEVELS - 1))
    return drawn


def palette() -> list[int]:
    """Red, green and blue of each colour at each level, in the order of the pictures' values."""
    share = np.arange(LEVELS)[None, :, None] / (LEVELS - 1)
    colors = PAPER + share * (INKS[:, None, :] - PAPER)
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
    with atomic_write(path) as temporary:
        draw_screen(*first).save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures,
            duration=milliseconds,
            loop=0,
            optimize=False,
        )

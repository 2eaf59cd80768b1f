"""Draw motif/games/nethack/font.npy: how much of each of 6x6 pixels a latin-1 character covers.

    python tools/draw_font.py

Each character is drawn at 9 points in a cell of 6x11 pixels and resized by area. The result depends
on the version of Pillow, which is why the table is shipped and not drawn at run time. The font is
DejaVu Sans Mono, which comes with matplotlib.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf"
TABLE = Path(__file__).resolve().parent.parent / "motif/games/nethack/font.npy"
WIDTH, HEIGHT, TILE = 6, 11, 6


def draw_table() -> np.ndarray:
    """(256, 6, 6) uint8, 255 where the character covers the pixel wholly."""
    font = ImageFont.truetype(str(FONT), size=9)
    table = np.zeros((256, TILE, TILE), np.uint8)
    for code in range(256):
        character = chr(code) if chr(code).isprintable() else " "
        cell = Image.new("L", (WIDTH, HEIGHT))
        ImageDraw.Draw(cell).text((0, 0), character, fill=255, font=font)
        table[code] = cv2.resize(np.array(cell), (TILE, TILE), interpolation=cv2.INTER_AREA)
    return table


if __name__ == "__main__":
    np.save(TABLE, draw_table())
    print(f"wrote {TABLE}")

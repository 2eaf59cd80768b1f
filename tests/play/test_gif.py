"""Films of a game."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from motif.play.gif import (
    CELL_HEIGHT,
    CELL_WIDTH,
    INKS,
    PAPER,
    draw_screen,
    tiles,
    with_caption,
    write_gif,
)


def screen_of(text: str, color: int = 7):
    chars = np.full((24, 80), ord(" "), np.uint8)
    chars[0, : len(text)] = np.frombuffer(text.encode("latin-1"), np.uint8)
    return chars, np.full((24, 80), color, np.int8)


def test_a_screen_has_its_colours_where_its_letters_are():
    chars, colors = screen_of("@", color=9)
    picture = np.asarray(draw_screen(chars, colors).convert("RGB"))
    assert picture.shape == (24 * CELL_HEIGHT, 80 * CELL_WIDTH, 3)
    cell, rest = picture[:CELL_HEIGHT, :CELL_WIDTH], picture[CELL_HEIGHT:]
    assert (rest == ImageColor.getrgb(PAPER)).all()
    assert (cell == ImageColor.getrgb(INKS[9])).all(axis=-1).any()


def test_letters_differ_and_control_characters_are_empty():
    assert not tiles()[[0, 7, 27, 32, 127]].any()
    letters = tiles()[[ord(c) for c in "@dF-|.#+<>^"]]
    assert letters.any(axis=(1, 2)).all()
    assert len({letter.tobytes() for letter in letters}) == len(letters)


@pytest.mark.parametrize("text", ["step 3", "x" * 200, "…", ""])
def test_a_caption_is_one_line_below(text):
    chars, colors = screen_of("hello")
    below, shades = with_caption(chars, colors, text)
    assert below.shape == shades.shape == (26, 80)
    np.testing.assert_array_equal(below[:24], chars)
    assert bytes(below[25]).rstrip() == text[:80].encode("latin-1", "replace")
    chars[0, 0] = 0
    assert below[0, 0] == ord("h")  # copied


def test_a_film(tmp_path):
    path = tmp_path / "folder/game.gif"
    screens = [screen_of(text) for text in ("one", "two", "three")]
    write_gif(path, screens, 100)
    with Image.open(path) as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 100
        for number, screen in enumerate(screens):
            film.seek(number)
            drawn = np.asarray(draw_screen(*screen).convert("RGB"))
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), drawn)


def test_a_film_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(IndexError):
        write_gif(tmp_path / "game.gif", [screen_of("a"), (np.full((2, 2), 999), np.eye(2))], 100)
    assert list(tmp_path.iterdir()) == []

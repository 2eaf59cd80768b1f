"""NetHack's screen for a terminal."""

from __future__ import annotations

import re

import numpy as np

from motif.play.terminal import screen_text


def screen(**cells):
    chars = np.full((24, 80), ord(" "), np.uint8)
    colors = np.full((24, 80), 7, np.int8)
    for column, (character, color) in enumerate(cells.values()):
        chars[1, column], colors[1, column] = character, color
    return chars, colors


def test_plain_text_is_24_lines_of_80():
    text = screen_text(*screen(hero=(ord("@"), 15)), color=False)
    lines = text.split("\n")
    assert [len(line) for line in lines] == [80] * 24
    assert lines[1].rstrip() == "@"


def test_colours_are_set_where_they_change():
    line = screen_text(*screen(a=(ord("a"), 1), b=(ord("b"), 1), c=(ord("c"), 9))).split("\n")[1]
    assert line.startswith("\033[0;31mab\033[0;91mc\033[0;37m ")
    assert line.endswith("\033[0m")


def test_colour_0_is_seen():
    assert "\033[0;94mx" in screen_text(*screen(x=(ord("x"), 0)))


def test_no_byte_of_the_game_moves_the_cursor():
    chars = np.arange(24 * 80, dtype=np.int64).reshape(24, 80).astype(np.uint8)
    text = screen_text(chars, np.full((24, 80), 7, np.int8))
    without_colors = re.sub(r"\033\[[0-9;]*m", "", text)
    assert all(character.isprintable() for character in without_colors.replace("\n", ""))
    assert len(without_colors.split("\n")) == 24

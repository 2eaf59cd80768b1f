"""A screen for a terminal."""

from __future__ import annotations

from motif.types import AnyArray

ESCAPE = "\033["
RESET = f"{ESCAPE}0m"
BRIGHT = 8  # colours 8 to 15 are the bright ones
GOOD, BAD = f"{ESCAPE}32m", f"{ESCAPE}31m"  # green, red
HIDE_CURSOR, SHOW_CURSOR = f"{ESCAPE}?25l", f"{ESCAPE}?25h"
HOME_AND_CLEAR = f"{ESCAPE}H{ESCAPE}J"


def screen_text(tty_chars: AnyArray, tty_colors: AnyArray, color: bool = True) -> str:
    """The (24, 80) screen as lines of text, coloured by ANSI sequences.

    Bytes that a terminal could take for a command are shown as spaces.
    """
    lines = []
    for characters, colors in zip(tty_chars.tolist(), (tty_colors & 15).tolist()):
        line, current = [], -1
        for code, shade in zip(characters, colors):
            if color and shade != current:
                line.append(_color_sequence(shade))
                current = shade
            character = chr(code)
            line.append(character if character.isprintable() else " ")
        lines.append("".join(line) + (RESET if color else ""))
    return "\n".join(lines)


def _color_sequence(shade: int) -> str:
    base = 90 if shade & BRIGHT else 30
    if shade == 0:  # NetHack draws its dark blue-black things with 0; black on black is unseen
        return f"{ESCAPE}0;94m"
    return f"{ESCAPE}0;{base + (shade & 7)}m"

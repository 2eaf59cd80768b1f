"""What a BabyAI agent sees: as characters, and in words."""

from __future__ import annotations

import numpy as np

from motif.types import AnyArray

# In the order of the package: kinds of things, colours, states of a door.
THINGS = ("", "", "wall", "floor", "door", "key", "ball", "box", "goal", "lava", "agent")
COLORS = ("red", "green", "blue", "purple", "yellow", "grey")
DOORS = ("open ", "", "locked ")
CHARACTERS = np.array([ord(symbol) for symbol in " .#.+koxG%@"], np.uint8)
DOOR_CHARACTERS = np.array([ord(symbol) for symbol in "'+X"], np.uint8)
TERMINAL = np.array([9, 10, 12, 13, 11, 7], np.int8)  # its colours
DOOR = THINGS.index("door")  # the first thing to have a word: not unseen, nothing, wall, floor


def draw_view(image: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Characters and colours (rows, columns), the agent at the middle of the last row.

    Args:
        image: the package's (columns, rows, 3): thing, colour, state.
    """
    things, colors, states = image.transpose(2, 1, 0)
    chars = np.where(things == DOOR, DOOR_CHARACTERS[states % 3], CHARACTERS[things])
    shown = np.where(things > 1, TERMINAL[colors], np.int8(7))
    if things[-1, things.shape[1] // 2] <= 1:  # else what is carried
        chars[-1, things.shape[1] // 2] = ord("@")
    return chars, shown


def tell_view(image: AnyArray, mission: str) -> str:
    """The mission and what is seen and carried, the nearest things first, in words."""
    columns, rows, _ = image.shape
    middle, last = columns // 2, rows - 1
    seen, carried = [], ""
    for x, y in np.argwhere(image[..., 0] >= DOOR).tolist():
        thing, color, state = image[x, y].tolist()
        name = f"{DOORS[state] if thing == DOOR else ''}{COLORS[color]} {THINGS[thing]}"
        ahead, side = last - y, x - middle
        if (ahead, side) == (0, 0):
            carried = f" You carry a {name}."
        else:
            seen.append((ahead + abs(side), side, f"{name} {_place(ahead, side)}"))
    listed = ", ".join(text for *_, text in sorted(seen)) or "nothing"
    return f"Mission: {mission}.{carried} You see: {listed}."


def _place(ahead: int, side: int) -> str:
    if (ahead, side) == (1, 0):
        return "right ahead"
    words = [f"{ahead} ahead"] if ahead else []
    return " ".join(words + ([f"{abs(side)} {'right' if side > 0 else 'left'}"] if side else []))

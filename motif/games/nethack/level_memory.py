"""What the explorer knows of a level: the kinds of its cells, and what happened there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from motif.games.nethack.path_finding import HEIGHT, WIDTH
from motif.types import AnyArray


class Kind:
    """What a map glyph is to one who walks; plain numbers, since enums are slow to look up."""

    UNSEEN = 0  # solid rock, or not seen yet
    WALL = 1  # and all else that stops one: bars, trees, water, lava
    FLOOR = 2
    CORRIDOR = 3
    DOOR = 4  # open or closed: not to be entered aslant
    DOWN = 5  # stairs, ladder
    HOLE = 6  # falling is a way down, too
    TRAP = 7
    BOULDER = 8
    TREASURE = 9  # picked up by walking over it: gold, potions, scrolls, wands
    OBJECT = 10
    MONSTER = 11
    SESSILE = 12  # hurts who touches it, and does not come after anyone
    PET = 13
    COUNT = 14


# Symbols of the map (NetHack's defsym.h, in the order of its glyphs); the others are floor.
_SYMBOLS = {
    Kind.UNSEEN: (0,),
    Kind.WALL: (*range(1, 12), 17, 18, 32, 34, 37, 38, 41),
    Kind.CORRIDOR: (21, 22),
    Kind.DOOR: (13, 14, 15, 16),
    Kind.DOWN: (24, 26),
    Kind.TRAP: range(42, 65),
    Kind.HOLE: (54, 55),
}
_SESSILE = {
    "acid blob", "blue jelly", "spotted jelly", "ochre jelly", "brown mold", "yellow mold",
    "green mold", "red mold", "gas spore", "floating eye", "cockatrice", "chickatrice",
}  # fmt: skip
_EDIBLE = {
    "newt", "jackal", "fox", "coyote", "jackalope", "sewer rat", "giant rat", "gecko", "goblin",
    "gnome", "gnome lord", "gnomish wizard", "dwarf", "dwarf lord", "hobbit", "hill orc",
    "Mordor orc", "Uruk-hai", "rock piercer", "giant beetle", "giant ant", "cave spider",
    "iguana", "baby crocodile", "pony", "horse", "hill giant", "lichen", "rothe", "jaguar",
}  # fmt: skip


@lru_cache(maxsize=1)
def glyph_kinds() -> AnyArray:
    """The :class:`Kind` of every glyph, (MAX_GLYPH,) uint8."""
    from nle import nethack

    kinds = np.full(nethack.MAX_GLYPH, Kind.OBJECT, np.uint8)
    kinds[nethack.GLYPH_MON_OFF : nethack.GLYPH_BODY_OFF] = Kind.MONSTER
    kinds[nethack.GLYPH_PET_OFF : nethack.GLYPH_INVIS_OFF] = Kind.PET
    kinds[nethack.GLYPH_RIDDEN_OFF : nethack.GLYPH_OBJ_OFF] = Kind.MONSTER
    for monster in range(nethack.GLYPH_PET_OFF):
        if nethack.permonst(monster).mname in _SESSILE:
            kinds[nethack.GLYPH_MON_OFF + monster] = Kind.SESSILE
    treasure = (nethack.COIN_CLASS, nethack.POTION_CLASS, nethack.SCROLL_CLASS, nethack.WAND_CLASS)
    for number in range(nethack.NUM_OBJECTS):
        item: Any = nethack.objclass(number)
        if nethack.OBJ_NAME(item) == "boulder":
            kinds[nethack.GLYPH_OBJ_OFF + number] = Kind.BOULDER
        elif ord(item.oc_class) in treasure:
            kinds[nethack.GLYPH_OBJ_OFF + number] = Kind.TREASURE
    kinds[nethack.GLYPH_CMAP_OFF : nethack.GLYPH_STATUE_OFF] = Kind.FLOOR
    kinds[nethack.GLYPH_SWALLOW_OFF : nethack.GLYPH_WARNING_OFF] = Kind.MONSTER
    for kind, symbols in _SYMBOLS.items():
        kinds[nethack.GLYPH_CMAP_OFF + np.array(symbols)] = kind
    return kinds


@lru_cache(maxsize=1)
def edible_corpses() -> frozenset[int]:
    """Glyphs of corpses that are safe while fresh, by the common ones of the upper levels."""
    from nle import nethack

    return frozenset(
        nethack.GLYPH_BODY_OFF + monster
        for monster in range(nethack.GLYPH_PET_OFF)
        if nethack.permonst(monster).mname in _EDIBLE
    )


def _mask() -> AnyArray:
    return np.zeros((HEIGHT, WIDTH), np.bool_)


@dataclass
class LevelMemory:
    """One level as far as it was played; all arrays are of the map's cells."""

    patience: int  # steps after which stairs down are taken at once
    steps: int = 0
    rests: int = 0
    is_shop: bool = False
    visited: AnyArray = field(default_factory=_mask)
    down: AnyArray = field(default_factory=_mask)  # ways down that an object may hide by now
    doors: AnyArray = field(default_factory=_mask)
    searched: AnyArray = field(default_factory=lambda: np.zeros((HEIGHT, WIDTH), np.int16))
    # … how often somebody searched beside it
    blocked: AnyArray = field(default_factory=lambda: np.zeros((8, HEIGHT, WIDTH), np.bool_))
    failures: dict[tuple[int, int, int], int] = field(default_factory=dict)  # of a step
    kills: dict[tuple[int, int], int] = field(default_factory=dict)  # cell: game turn
    peaceful: set[int] = field(default_factory=set)  # glyphs

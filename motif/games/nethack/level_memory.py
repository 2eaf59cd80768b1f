"""What the explorer knows: what it sees, and of each level what happened there."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from motif.games.nethack.path_finding import DX, DY, HEIGHT, WIDTH
from motif.types import AnyArray

MAX_FAILURES = 6  # of a step that took time, before it counts as impossible
FRESH_TURNS = 25  # for which a corpse may be eaten

_KILLED = re.compile(rb"You (?:kill|destroy)")
_HELD = re.compile(rb"pit|trap|web|stuck|held|swap|in the way")
_SHOP = re.compile(rb"[Ww]elcome(?: again)? to [^!]*'s ")


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


_STOPPING = (Kind.UNSEEN, Kind.WALL, Kind.TRAP, Kind.BOULDER, Kind.SESSILE)
_PASSABLE = ~np.isin(np.arange(Kind.COUNT), _STOPPING)
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


@dataclass(frozen=True)
class View:
    """One observation, read."""

    message: bytes
    here: tuple[int, int]  # row and column of the hero
    turn: int
    health: float  # hit points, as a share of the most
    hunger: int
    level: LevelMemory
    glyphs: AnyArray  # (21, 79) int16
    kinds: AnyArray  # (21, 79) uint8, Kind; the hero's own cell is FLOOR

    def beside(self, direction: int) -> tuple[int, int] | None:
        """The cell that a step into ``direction`` leads to; ``None`` off the map."""
        y, x = self.here[0] + int(DY[direction]), self.here[1] + int(DX[direction])
        return (y, x) if 0 <= y < HEIGHT and 0 <= x < WIDTH else None


class LevelMemory:
    """One level as far as it was played; all arrays are of the map's cells.

    Args:
        patience: steps after which stairs down are taken at once.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.steps = self.rests = 0
        self.is_shop = False
        self.visited, self.doors = np.zeros((2, HEIGHT, WIDTH), np.bool_)
        self.down = np.zeros((HEIGHT, WIDTH), np.bool_)  # an object may hide stairs by now
        self.searched = np.zeros((HEIGHT, WIDTH), np.int16)  # how often, from a cell beside it
        self.blocked = np.zeros((8, HEIGHT, WIDTH), np.bool_)
        self.failures: Counter[tuple[int, int, int]] = Counter()  # of an action, at a cell
        self.kills: dict[tuple[int, int], int] = {}  # cell: game turn
        self.peaceful: set[int] = set()  # glyphs

    def learn(self, view: View, last: View | None, tried: int | None) -> None:
        """Remember what a view, and what became of the last action, say of this level.

        Args:
            last: the view before, if it is of this level.
            tried: the direction of the step or blow between them.
        """
        here, kinds, message = view.here, view.kinds, view.message
        self.steps += 1
        self.visited[here] = True
        self.down |= (kinds == Kind.DOWN) | (kinds == Kind.HOLE)
        self.down[here] |= b"staircase down here" in message or b"ladder down here" in message
        self.doors = (kinds == Kind.DOOR) | (self.doors & (kinds > Kind.DOOR))
        self.is_shop |= bool(_SHOP.search(message))
        if last is not None:
            self.doors[here] |= last.kinds[here] == Kind.DOOR
        if last is None or tried is None:
            return
        if _KILLED.search(message):
            if (there := view.beside(tried)) is not None:
                self.kills[there] = view.turn
        elif last.here == here and b"?" not in message:
            self._learn_from_failure(view, last.turn == view.turn, tried)

    def _learn_from_failure(self, view: View, took_no_time: bool, tried: int) -> None:
        """The step did not lead anywhere: don't try it for ever."""
        there, step = view.beside(tried), (tried, *view.here)
        occupied = there is not None and view.kinds[there] in (Kind.MONSTER, Kind.PET)
        if b"locked" in view.message or occupied:
            return
        self.failures[step] += 1
        limit = 3 * MAX_FAILURES if _HELD.search(view.message) else MAX_FAILURES
        if took_no_time or self.failures[step] >= limit:
            self.blocked[step] = True

    def is_fresh(self, view: View) -> bool:
        """Whether the hero stands where something was killed a moment ago."""
        return view.turn - self.kills.get(view.here, -FRESH_TURNS) < FRESH_TURNS

    def passable(self, view: View, bold: bool) -> AnyArray:
        """Where one may go; ``bold``: over traps, and boulders are pushed."""
        kinds = view.kinds
        passable: AnyArray = self.visited | _PASSABLE[kinds]
        if self.is_shop:  # else one pays
            passable &= (kinds != Kind.TREASURE) | self.visited
        if bold:
            passable |= (kinds == Kind.TRAP) | (kinds == Kind.BOULDER)
        else:
            passable &= kinds != Kind.BOULDER
        passable &= ~self.is_peaceful(view) & (kinds != Kind.SESSILE)
        return passable

    def is_peaceful(self, view: View) -> AnyArray:
        """Cells of those that were found to be peaceful."""
        cells: AnyArray = np.isin(view.glyphs, list(self.peaceful))
        return cells

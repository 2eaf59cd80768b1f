"""A scripted player: explores, fights what is adjacent, takes gold and the stairs down.

It plays by what an observation shows (``message``, ``blstats``, ``glyphs``) and by what it
remembers of the levels it has seen. It is made to bring variety into a dataset, not to win.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from motif.blstats import DEPTH, TURN
from motif.games.nethack.level_memory import Kind, LevelMemory, edible_corpses, glyph_kinds
from motif.games.nethack.path_finding import (
    DX,
    DY,
    FAR,
    HEIGHT,
    WIDTH,
    can_step,
    count_exits,
    distances,
    step_towards,
    sum_neighbours,
)
from motif.types import AnyArray

RANDOM_SHARE = 0.04  # of steps, an action drawn from all
LOST_RANDOM_SHARE = 0.25  # of steps on a level that seems to have no way out
EAGER_SHARE = 0.4  # of levels, left as soon as a way down is known
MEAN_PATIENCE = 250  # steps on one of the other levels before that
PATIENCE_LIMIT = 1200  # steps on a level after which nothing is feared
SEARCH_DECAY = 0.85  # of the hope to find something, with each search beside it
STEPS_FOR_HOPE = 8.0  # steps that one unsearched cell is worth
RESTS = 80  # searches a level, to heal
WEAK_SHARE = 0.4  # of the hit points: don't go down, rest
MAX_KICKS = 25  # at one door
MAX_FAILURES = 6  # of a step that took time, before it counts as impossible
FRESH_TURNS = 25  # for which a corpse may be eaten
SNACK_SHARE = 0.15  # of fresh corpses, eaten without hunger

NUM_COMPASS = 8
COMPASS = tuple(map(ord, "kljhunby"))  # in the order of path_finding
ENTER, DOWN_KEY, KICK, EAT, SEARCH, YES = 13, ord(">"), 4, ord("e"), ord("s"), ord("y")

HUNGRY = 2  # of blstats' hunger, which is 1 when all is well
_X, _Y, _HP, _MAX_HP, _HUNGER, _BRANCH, _LEVEL = 0, 1, 10, 11, 21, 23, 24
_KILLED = re.compile(rb"You (?:kill|destroy)")
_HELD = re.compile(rb"pit|trap|web|stuck|held|swap|in the way")
_SHOP = re.compile(rb"[Ww]elcome(?: again)? to [^!]*'s ")


@dataclass(frozen=True)
class View:
    """One observation, read."""

    message: bytes
    y: int
    x: int
    turn: int
    depth: int
    health: float  # hit points, as a share of the most
    hunger: int
    level: LevelMemory
    glyphs: AnyArray  # (21, 79) int16
    kinds: AnyArray  # (21, 79) uint8, Kind; the hero's own cell is FLOOR


class ExplorerPlayer:
    """Plays one game after the other; all chance is drawn from the generator given to ``reset``.

    Args:
        keys: the key of each action, NLE's ``TASK_ACTIONS`` in this order or another.
    """

    name = "explorer"

    def __init__(self, keys: Sequence[int]) -> None:
        self._action = {int(key): index for index, key in enumerate(keys)}
        self._keys = [int(key) for key in keys]
        self._kinds = glyph_kinds()
        self._edible = edible_corpses()
        self.reset(np.random.default_rng(0))

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._levels: dict[tuple[int, int], LevelMemory] = {}
        self._last: View | None = None
        self._tried: int | None = None  # the direction of the last step or blow
        self._aim: int | None = None  # the direction to give when asked for one
        self._wants_food = False  # the answer to the next question about eating
        self._has_food = True

    def act(self, observation: Mapping[str, AnyArray]) -> int:
        view = self._look(observation)
        self._learn(view)
        key = self._answer(view)
        if key is None:
            key = self._choose(view)
        self._last = view
        return self._action[key]

    def _look(self, observation: Mapping[str, AnyArray]) -> View:
        status = observation["blstats"].tolist()
        place = status[_BRANCH], status[_LEVEL]
        if place not in self._levels:
            eager = self._rng.random() < EAGER_SHARE
            patience = 0 if eager else int(self._rng.exponential(MEAN_PATIENCE))
            self._levels[place] = LevelMemory(patience)
        level, y, x = self._levels[place], status[_Y], status[_X]
        glyphs = observation["glyphs"].copy()
        kinds = self._kinds[glyphs]
        kinds[y, x] = Kind.FLOOR
        return View(
            message=observation["message"].tobytes().rstrip(b"\0"),
            y=y,
            x=x,
            turn=status[TURN],
            depth=status[DEPTH],
            health=status[_HP] / max(status[_MAX_HP], 1),
            hunger=status[_HUNGER],
            level=level,
            glyphs=glyphs,
            kinds=kinds,
        )

    def _learn(self, view: View) -> None:
        """Remember what the observation, and the last action's outcome, say of the level."""
        level, message = view.level, view.message
        level.steps += 1
        level.visited[view.y, view.x] = True
        level.down |= (view.kinds == Kind.DOWN) | (view.kinds == Kind.HOLE)
        level.doors = (view.kinds == Kind.DOOR) | (level.doors & (view.kinds > Kind.DOOR))
        last, tried = self._last, self._tried
        if last is not None and last.level is level and last.kinds[view.y, view.x] == Kind.DOOR:
            level.doors[view.y, view.x] = True
        if b"staircase down here" in message or b"ladder down here" in message:
            level.down[view.y, view.x] = True
        if _SHOP.search(message):
            level.is_shop = True
        if b"You don't have anything to eat" in message:
            self._has_food = False
        if last is None or last.level is not level or tried is None:
            return
        there = view.y + DY[tried], view.x + DX[tried]
        if _KILLED.search(message):
            level.kills[there] = view.turn
        elif (last.y, last.x) == (view.y, view.x) and b"?" not in message:
            self._learn_from_failure(view, last.turn == view.turn, tried)

    def _learn_from_failure(self, view: View, took_no_time: bool, tried: int) -> None:
        """The step did not lead anywhere: don't try it for ever."""
        level, message = view.level, view.message
        there = view.y + DY[tried], view.x + DX[tried]
        occupied = _is_on_map(*there) and view.kinds[there] in (Kind.MONSTER, Kind.PET)
        if b"locked" in message or occupied:
            return
        step = (tried, view.y, view.x)
        level.failures[step] = level.failures.get(step, 0) + 1
        limit = 3 * MAX_FAILURES if _HELD.search(message) else MAX_FAILURES
        if took_no_time or level.failures[step] >= limit:
            level.blocked[tried, view.y, view.x] = True

    def _answer(self, view: View) -> int | None:
        """The key that the message asks for, if it asks."""
        message = view.message
        if b"direction?" in message:
            aim = self._rng.integers(NUM_COMPASS) if self._aim is None else self._aim
            self._aim, self._tried = None, None
            return COMPASS[aim]
        if b"Really attack" in message and self._tried is not None:
            there = view.y + DY[self._tried], view.x + DX[self._tried]
            if _is_on_map(*there):
                view.level.peaceful.add(int(view.glyphs[there]))
            self._tried = None
            return ENTER
        if b"eat" in message and b"?" in message:
            yes = self._wants_food and (b"What do you want" in message or self._is_fresh(view))
            return YES if yes else ENTER
        if b"This door is locked" in message and self._tried is not None:
            return self._kick(view, self._tried)
        return None

    def _kick(self, view: View, direction: int) -> int | None:
        kick = (direction + NUM_COMPASS, view.y, view.x)
        view.level.failures[kick] = view.level.failures.get(kick, 0) + 1
        if view.level.failures[kick] > MAX_KICKS:
            view.level.blocked[direction, view.y, view.x] = True
            return None
        self._aim = direction
        return KICK

    def _is_fresh(self, view: View) -> bool:
        """Whether the hero stands where something edible was killed a moment ago."""
        killed = view.level.kills.get((view.y, view.x))
        return killed is not None and view.turn - killed < FRESH_TURNS

    def _choose(self, view: View) -> int:
        """The key of the first aim that can be pursued."""
        self._tried = None
        aims: tuple[Callable[[View], int | None], ...] = (
            self._fight,
            self._eat,
            self._dabble,
            self._descend,
            self._rest,
            self._explore,
            self._look_for_hidden,
        )
        for aim in aims:
            key = aim(view)
            if key is not None:
                return key
        return self._step(int(self._rng.integers(NUM_COMPASS)))

    def _step(self, direction: int) -> int:
        self._tried = direction
        return COMPASS[direction]

    def _fight(self, view: View) -> int | None:
        """Hit an adjacent monster, unless it is peaceful or best left alone."""
        around = view.kinds[max(view.y - 1, 0) : view.y + 2, max(view.x - 1, 0) : view.x + 2]
        if not (around == Kind.MONSTER).any():
            return None
        monsters = view.kinds == Kind.MONSTER
        for glyph in view.level.peaceful:
            monsters &= view.glyphs != glyph
        doors = view.level.doors
        hostile = [
            direction
            for direction in range(NUM_COMPASS)
            if can_step(view.y, view.x, direction, monsters, doors, _NOTHING)
        ]
        if not hostile:
            return None
        if view.health < WEAK_SHARE and view.level.down[view.y, view.x]:
            return DOWN_KEY
        return self._step(hostile[int(self._rng.integers(len(hostile)))])

    def _eat(self, view: View) -> int | None:
        """Eat what was just killed, or from the pack when hungry."""
        hungry = view.hunger >= HUNGRY
        fresh = self._is_fresh(view)
        if fresh:
            del view.level.kills[view.y, view.x]
        self._wants_food = hungry
        if fresh and view.hunger > 0 and (hungry or self._rng.random() < SNACK_SHARE):
            self._wants_food = True
            view.level.kills[view.y, view.x] = view.turn
            return EAT
        return EAT if hungry and self._has_food else None

    def _dabble(self, view: View) -> int | None:
        lost = view.level.steps > PATIENCE_LIMIT
        if self._rng.random() < (LOST_RANDOM_SHARE if lost else RANDOM_SHARE):
            return self._keys[int(self._rng.integers(len(self._keys)))]
        return None

    def _descend(self, view: View) -> int | None:
        """Go down, if the level was explored enough and the hero is well, or has no other way."""
        level = view.level
        ready = level.steps >= level.patience
        well = view.health >= WEAK_SHARE or level.rests >= RESTS
        if not ready or not well:
            return None
        if level.down[view.y, view.x]:
            return self._go_down(view)
        return self._walk(view, level.down)

    def _go_down(self, view: View) -> int | None:
        step = (2 * NUM_COMPASS, view.y, view.x)
        failures = view.level.failures
        failures[step] = failures.get(step, 0) + 1
        if failures[step] > MAX_FAILURES:
            view.level.down[view.y, view.x] = False
            return None
        return DOWN_KEY

    def _rest(self, view: View) -> int | None:
        """Heal a little before going on."""
        if view.health >= WEAK_SHARE or view.level.rests >= RESTS:
            return None
        if view.hunger >= HUNGRY or (view.kinds == Kind.MONSTER).any():
            return None
        view.level.rests += 1
        return SEARCH

    def _explore(self, view: View) -> int | None:
        """To treasure, else to the border of the unknown, else down; first by safe ways."""
        level = view.level
        treasure = (view.kinds == Kind.TREASURE) & ~level.visited
        if not level.is_shop and treasure.any():
            key = self._walk(view, treasure)
            if key is not None:
                return key
        border = (sum_neighbours(view.kinds == Kind.UNSEEN) > 0) & ~level.visited
        border &= self._passable(view, bold=False)
        for bold in (False, True):
            targets = border if not bold else border | (view.kinds == Kind.BOULDER)
            key = self._walk(view, targets, bold)
            if key is not None:
                return key
            if level.down[view.y, view.x]:
                key = self._go_down(view)
            elif level.down.any():
                key = self._walk(view, level.down, bold)
            if key is not None:
                return key
        return None

    def _look_for_hidden(self, view: View) -> int | None:
        """Search where something may be hidden, each place a few times, the near ones first.

        Likely places are dead ends, doors that lead nowhere, and what is close to a part of the
        map that was seen and can't be reached.
        """
        level = view.level
        lost = level.steps > PATIENCE_LIMIT
        if lost and level.steps % 100 == 0:
            level.blocked[:] = False  # what was in the way may have gone
        passable = self._passable(view, bold=lost)
        distance = distances(_single(view.y, view.x), passable, level.doors, _NOTHING)
        reachable = distance != FAR
        likely = count_exits(passable, level.doors, _NOTHING) <= 1
        likely |= sum_neighbours(passable & ~reachable) > 0
        closed = (view.kinds == Kind.WALL) | (view.kinds == Kind.UNSEEN)
        hope = sum_neighbours(closed * SEARCH_DECAY**level.searched)
        hope *= np.where(likely, 5.0, np.where(view.kinds == Kind.CORRIDOR, 0.3, 1.0))
        gain = np.where(reachable, STEPS_FOR_HOPE * hope - distance, -np.inf)
        y, x = divmod(int(np.argmax(gain)), WIDTH)
        if (y, x) == (view.y, view.x):
            level.searched[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] += 1
            return SEARCH
        return self._walk(view, _single(y, x), bold=lost)

    def _passable(self, view: View, bold: bool) -> AnyArray:
        """Where one may go; ``bold``: over traps, and boulders are pushed."""
        passable: AnyArray = view.level.visited | _PASSABLE[view.kinds]
        if view.level.is_shop:  # else one pays
            passable &= (view.kinds != Kind.TREASURE) | view.level.visited
        if bold:
            passable |= (view.kinds == Kind.TRAP) | (view.kinds == Kind.BOULDER)
        else:
            passable &= view.kinds != Kind.BOULDER
        for glyph in view.level.peaceful:
            passable &= view.glyphs != glyph
        passable &= view.kinds != Kind.SESSILE
        return passable

    def _walk(self, view: View, targets: AnyArray, bold: bool = False) -> int | None:
        """A step on a shortest way to one of ``targets``."""
        passable = self._passable(view, bold)
        passable[view.y, view.x] = True
        level = view.level
        distance = distances(targets, passable, level.doors, level.blocked)
        if distance[view.y, view.x] in (0, FAR):
            return None
        luck = self._rng.random()
        return self._step(step_towards(distance, view.y, view.x, level.doors, level.blocked, luck))


def _is_on_map(y: int, x: int) -> bool:
    return 0 <= y < HEIGHT and 0 <= x < WIDTH


def _single(y: int, x: int) -> AnyArray:
    """The map's cells with only (y, x) true."""
    cells = np.zeros((HEIGHT, WIDTH), np.bool_)
    cells[y, x] = True
    return cells


_STOPPING = (Kind.UNSEEN, Kind.WALL, Kind.TRAP, Kind.BOULDER, Kind.SESSILE)
_PASSABLE = ~np.isin(np.arange(Kind.COUNT), _STOPPING)
_NOTHING = np.zeros((NUM_COMPASS, HEIGHT, WIDTH), np.bool_)  # no step is blocked

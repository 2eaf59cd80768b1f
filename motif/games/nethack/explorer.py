"""A scripted player: explores, fights what is adjacent, takes gold and the stairs down.

It plays by what an observation shows (``message``, ``blstats``, ``glyphs``) and by what it
remembers of the levels it has seen. It is made to bring variety into a dataset, not to win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from motif.blstats import BRANCH, HP, HUNGER, LEVEL, MAX_HP, TURN, X, Y
from motif.games.nethack.level_memory import MAX_FAILURES, Kind, LevelMemory, View, glyph_kinds
from motif.games.nethack.path_finding import (
    FAR,
    NOWHERE,
    can_step,
    count_exits,
    distances,
    only,
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
SNACK_SHARE = 0.15  # of fresh corpses, eaten without hunger

COMPASS = tuple(map(ord, "kljhunby"))  # in the order of path_finding
KICKING, GOING_DOWN = len(COMPASS), 2 * len(COMPASS)  # actions that may fail, as steps do
ENTER, DOWN_KEY, KICK, EAT, SEARCH, YES = 13, ord(">"), 4, ord("e"), ord("s"), ord("y")
HUNGRY = 2  # of blstats' hunger, which is 1 when all is well


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
        self.reset(np.random.default_rng(0))

    def reset(self, rng: np.random.Generator) -> None:
        """Forget the last game; all chance of the next is drawn from ``rng``."""
        self._rng = rng
        self._levels: dict[tuple[int, int], LevelMemory] = {}
        self._last: View | None = None
        self._tried: int | None = None  # the direction of the last step or blow
        self._aim: int | None = None  # the direction to give when asked for one
        self._wants_food = False  # the answer to the next question about eating
        self._has_food = True

    def act(self, observation: Mapping[str, AnyArray]) -> int:
        """The index of the next action."""
        view = self._look(observation)
        same_level = self._last is not None and self._last.level is view.level
        view.level.learn(view, self._last if same_level else None, self._tried)
        if b"You don't have anything to eat" in view.message:
            self._has_food = False
        key = self._answer(view) or self._choose(view)
        self._last = view
        return self._action[key]

    def _look(self, observation: Mapping[str, AnyArray]) -> View:
        status = observation["blstats"].tolist()
        place = status[BRANCH], status[LEVEL]
        if place not in self._levels:
            eager = self._rng.random() < EAGER_SHARE
            patience = 0 if eager else int(self._rng.exponential(MEAN_PATIENCE))
            self._levels[place] = LevelMemory(patience)
        here = status[Y], status[X]
        glyphs = observation["glyphs"].copy()
        kinds = self._kinds[glyphs]
        kinds[here] = Kind.FLOOR
        return View(
            message=observation.get("raw_message", observation["message"]).tobytes().rstrip(b"\0"),
            here=here,
            turn=status[TURN],
            health=status[HP] / max(status[MAX_HP], 1),
            hunger=status[HUNGER],
            level=self._levels[place],
            glyphs=glyphs,
            kinds=kinds,
        )

    def _answer(self, view: View) -> int | None:
        """The key that the message asks for, if it asks."""
        message, tried = view.message, self._tried
        if b"direction?" in message:
            aim = self._rng.integers(len(COMPASS)) if self._aim is None else self._aim
            self._aim, self._tried = None, None
            return COMPASS[aim]
        if b"Really attack" in message and tried is not None:
            if (there := view.beside(tried)) is not None:
                view.level.peaceful.add(int(view.glyphs[there]))
            self._tried = None
            return ENTER
        if b"eat" in message and b"?" in message:
            offered = b"What do you want" in message or view.level.is_fresh(view)
            return YES if self._wants_food and offered else ENTER
        if b"This door is locked" in message and tried is not None:
            return self._kick(view, tried)
        return None

    def _kick(self, view: View, direction: int) -> int | None:
        step, kick = (direction, *view.here), (direction + KICKING, *view.here)
        view.level.failures[kick] += 1
        if view.level.failures[kick] > MAX_KICKS:
            view.level.blocked[step] = True
            return None
        self._aim = direction
        return KICK

    def _choose(self, view: View) -> int:
        """The key of the first aim that can be pursued."""
        self._tried = None
        at_once = self._fight, self._eat, self._dabble, self._descend, self._rest
        for aim in (*at_once, self._explore, self._look_for_hidden):
            if key := aim(view):
                return key
        return self._step(int(self._rng.integers(len(COMPASS))))

    def _step(self, direction: int) -> int:
        self._tried = direction
        return COMPASS[direction]

    def _fight(self, view: View) -> int | None:
        """Hit an adjacent monster, unless it is peaceful or best left alone."""
        level, monsters = view.level, view.kinds == Kind.MONSTER
        if not monsters.any():
            return None
        monsters &= ~level.is_peaceful(view)
        directions = range(len(COMPASS))
        hostile = [d for d in directions if can_step(*view.here, d, monsters, level.doors, NOWHERE)]
        if not hostile:
            return None
        if view.health < WEAK_SHARE and level.down[view.here]:
            return DOWN_KEY
        return self._step(hostile[int(self._rng.integers(len(hostile)))])

    def _eat(self, view: View) -> int | None:
        """Eat what was just killed, or from the pack when hungry."""
        hungry, kills = view.hunger >= HUNGRY, view.level.kills
        self._wants_food = hungry
        if view.level.is_fresh(view):
            del kills[view.here]
            if view.hunger > 0 and (hungry or self._rng.random() < SNACK_SHARE):
                self._wants_food = True
                kills[view.here] = view.turn
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
        well = view.health >= WEAK_SHARE or level.rests >= RESTS
        return self._go_down(view) if well and level.steps >= level.patience else None

    def _go_down(self, view: View, bold: bool = False) -> int | None:
        """Take the way down under the hero, or a step towards the nearest."""
        level, descent = view.level, (GOING_DOWN, *view.here)
        if not level.down[view.here]:
            return self._walk(view, level.down, bold)
        level.failures[descent] += 1
        if level.failures[descent] > MAX_FAILURES:
            level.down[view.here] = False
            return None
        return DOWN_KEY

    def _rest(self, view: View) -> int | None:
        """Heal a little before going on."""
        well = view.health >= WEAK_SHARE or view.level.rests >= RESTS
        if well or view.hunger >= HUNGRY or (view.kinds == Kind.MONSTER).any():
            return None
        view.level.rests += 1
        return SEARCH

    def _explore(self, view: View) -> int | None:
        """To treasure, else to the border of the unknown, else down; first by safe ways."""
        level, kinds = view.level, view.kinds
        treasure = (kinds == Kind.TREASURE) & ~level.visited
        if not level.is_shop and (key := self._walk(view, treasure)):
            return key
        border = (sum_neighbours(kinds == Kind.UNSEEN) > 0) & ~level.visited
        border &= level.passable(view, bold=False)
        for bold in (False, True):
            targets = border | (kinds == Kind.BOULDER) if bold else border
            if key := self._walk(view, targets, bold) or self._go_down(view, bold):
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
        passable = level.passable(view, bold=lost)
        distance = distances(only(view.here), passable, level.doors, NOWHERE)
        reachable = distance != FAR
        likely = count_exits(passable, level.doors) <= 1
        likely |= sum_neighbours(passable & ~reachable) > 0
        closed = (view.kinds == Kind.WALL) | (view.kinds == Kind.UNSEEN)
        hope = sum_neighbours(closed * SEARCH_DECAY**level.searched)
        hope *= np.where(likely, 5.0, np.where(view.kinds == Kind.CORRIDOR, 0.3, 1.0))
        gain = np.where(reachable, STEPS_FOR_HOPE * hope - distance, -np.inf)
        y, x = divmod(int(np.argmax(gain)), gain.shape[1])
        if (y, x) == view.here:
            level.searched[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] += 1
            return SEARCH
        return self._walk(view, only((y, x)), bold=lost)

    def _walk(self, view: View, targets: AnyArray, bold: bool = False) -> int | None:
        """A step on a shortest way to one of ``targets``."""
        level = view.level
        passable = level.passable(view, bold)
        passable[view.here] = True
        distance = distances(targets, passable, level.doors, level.blocked)
        if distance[view.here] in (0, FAR):
            return None
        luck = self._rng.random()
        return self._step(step_towards(distance, *view.here, level.doors, level.blocked, luck))

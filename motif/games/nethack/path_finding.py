"""Walking distances on a NetHack map.

Eight directions, in the order of NLE's compass actions: N E S W NE SE SW NW; ``d ^ 2`` is the
opposite of direction ``d``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from motif.types import AnyArray

HEIGHT, WIDTH = 21, 79
DY = np.array((-1, 0, 1, 0, -1, 1, 1, -1))
DX = np.array((0, 1, 0, -1, 1, 1, -1, -1))
FAR = np.iinfo(np.int16).max  # no way there


@njit(cache=True)
def can_step(
    y: int, x: int, direction: int, passable: AnyArray, doors: AnyArray, blocked: AnyArray
) -> bool:
    """Whether one may go from (y, x) into ``direction``; nobody enters or leaves a door aslant.

    Args:
        passable, doors: (21, 79) bool.
        blocked: (8, 21, 79) bool, steps that failed before.
    """
    to_y, to_x = y + DY[direction], x + DX[direction]
    if not (0 <= to_y < HEIGHT and 0 <= to_x < WIDTH) or not passable[to_y, to_x]:
        return False
    aslant = direction >= 4 and (doors[y, x] or doors[to_y, to_x])
    return not aslant and not blocked[direction, y, x]


@njit(cache=True)
def distances(
    targets: AnyArray, passable: AnyArray, doors: AnyArray, blocked: AnyArray
) -> AnyArray:
    """Steps from every cell to the nearest of ``targets``, by breadth-first search.

    A target counts though it is not passable itself.

    Returns:
        (21, 79) int16; ``FAR`` where there is no way.
    """
    distance = np.full((HEIGHT, WIDTH), FAR, np.int16)
    queue = np.empty((HEIGHT * WIDTH, 2), np.int16)
    first, last = 0, 0
    for y in range(HEIGHT):
        for x in range(WIDTH):
            if targets[y, x]:
                distance[y, x] = 0
                queue[last, 0], queue[last, 1] = y, x
                last += 1
    while first < last:
        y, x = queue[first]
        first += 1
        for direction in range(8):  # from where (y, x) is entered by this step
            from_y, from_x = y - DY[direction], x - DX[direction]
            if not (0 <= from_y < HEIGHT and 0 <= from_x < WIDTH):
                continue
            if distance[from_y, from_x] != FAR or not passable[from_y, from_x]:
                continue
            aslant = direction >= 4 and (doors[y, x] or doors[from_y, from_x])
            if aslant or blocked[direction, from_y, from_x]:
                continue
            distance[from_y, from_x] = distance[y, x] + 1
            queue[last, 0], queue[last, 1] = from_y, from_x
            last += 1
    return distance


@njit(cache=True)
def step_towards(
    distance: AnyArray,
    y: int,
    x: int,
    doors: AnyArray,
    blocked: AnyArray,
    luck: float,
) -> int:
    """The direction of a shortest way from (y, x) down ``distance``; -1 if there is none.

    Args:
        luck: in [0, 1), chooses among equally short ways.
    """
    reachable = distance != FAR
    best, count = FAR, 0
    good = np.empty(8, np.int16)
    for direction in range(8):
        if can_step(y, x, direction, reachable, doors, blocked):
            there = distance[y + DY[direction], x + DX[direction]]
            if there < best:
                best, count = there, 0
            if there == best:
                good[count] = direction
                count += 1
    if count == 0:
        return -1
    return int(good[int(luck * count)])


@njit(cache=True)
def sum_neighbours(weights: AnyArray) -> AnyArray:
    """(21, 79) float64: the sum of ``weights`` over the eight cells around each."""
    sums = np.zeros((HEIGHT, WIDTH))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            if weights[y, x]:
                for direction in range(8):
                    to_y, to_x = y + DY[direction], x + DX[direction]
                    if 0 <= to_y < HEIGHT and 0 <= to_x < WIDTH:
                        sums[to_y, to_x] += weights[y, x]
    return sums


@njit(cache=True)
def count_exits(passable: AnyArray, doors: AnyArray, blocked: AnyArray) -> AnyArray:
    """(21, 79) int8: into how many directions one may step from each cell."""
    counts = np.zeros((HEIGHT, WIDTH), np.int8)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for direction in range(8):
                counts[y, x] += can_step(y, x, direction, passable, doors, blocked)
    return counts

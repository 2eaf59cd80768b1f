"""Walking distances on a NetHack map.

Eight directions, in the order of NLE's compass actions: N E S W NE SE SW NW; ``d ^ 2`` is the
opposite of direction ``d``.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from motif.compiled import compiled
from motif.types import AnyArray

HEIGHT, WIDTH = 21, 79
DY = np.array((-1, 0, 1, 0, -1, 1, 1, -1))
DX = np.array((0, 1, 0, -1, 1, 1, -1, -1))
FAR = np.iinfo(np.int16).max  # no way there
NOWHERE = np.zeros((8, HEIGHT, WIDTH), np.bool_)  # where a step is blocked

_STRAIGHT = np.array(((0, 1, 0), (1, 0, 1), (0, 1, 0)))
_ASLANT = np.array(((1, 0, 1), (0, 0, 0), (1, 0, 1)))


@compiled()
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


# Not by scipy.sparse.csgraph: a graph of the cells takes far longer to make than to search.
@compiled()
def distances(
    targets: AnyArray, passable: AnyArray, doors: AnyArray, blocked: AnyArray
) -> AnyArray:
    """Steps from every cell to the nearest of ``targets``, by breadth-first search.

    A target counts though it is not passable itself.

    Returns:
        (21, 79) int16; ``FAR`` where there is no way.
    """
    distance = np.where(targets, 0, FAR).astype(np.int16)
    anywhere = np.ones((HEIGHT, WIDTH), np.bool_)
    rows, columns = np.nonzero(targets)
    queue = list(zip(rows, columns))
    first = 0
    while first < len(queue):
        y, x = queue[first]
        first += 1
        for direction in range(8):  # from where (y, x) is entered by this step
            from_y, from_x = y - DY[direction], x - DX[direction]
            if not (0 <= from_y < HEIGHT and 0 <= from_x < WIDTH and passable[from_y, from_x]):
                continue
            if distance[from_y, from_x] == FAR and can_step(
                from_y, from_x, direction, anywhere, doors, blocked
            ):
                distance[from_y, from_x] = distance[y, x] + 1
                queue.append((from_y, from_x))
    return distance


def step_towards(
    distance: AnyArray, y: int, x: int, doors: AnyArray, blocked: AnyArray, luck: float
) -> int:
    """The direction of a shortest way from (y, x) down ``distance``; -1 if there is none.

    Args:
        luck: in [0, 1), chooses among equally short ways.
    """
    reachable = distance != FAR
    ways = [d for d in range(8) if can_step(y, x, d, reachable, doors, blocked)]
    lengths = [distance[y + DY[direction], x + DX[direction]] for direction in ways]
    good = [direction for direction, length in zip(ways, lengths) if length == min(lengths)]
    return good[int(luck * len(good))] if good else -1


def only(cell: tuple[int, int]) -> AnyArray:
    """(21, 79) bool, true at this row and column."""
    cells = np.zeros((HEIGHT, WIDTH), np.bool_)
    cells[cell] = True
    return cells


def sum_neighbours(weights: AnyArray) -> AnyArray:
    """(21, 79) float64: the sum of ``weights`` over the eight cells around each."""
    return _correlate(weights, _STRAIGHT + _ASLANT, np.float64)


def count_exits(passable: AnyArray, doors: AnyArray) -> AnyArray:
    """(21, 79) int8: into how many directions one may step from each cell."""
    aslant = _correlate(passable & ~doors, _ASLANT, np.int8)
    return _correlate(passable, _STRAIGHT, np.int8) + ~doors * aslant


def _correlate(cells: AnyArray, kernel: AnyArray, dtype: type[np.generic]) -> AnyArray:
    sums: AnyArray = ndimage.correlate(cells, kernel, output=dtype, mode="constant")
    return sums

"""Walking on maps drawn as text: # passable, + a door, anything else not."""

from __future__ import annotations

import numpy as np
import pytest

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

EAST, NORTH_EAST = 1, 4


def read(*rows: str):
    """Passable cells, doors, and blocked steps (none)."""
    passable, doors = np.zeros((2, HEIGHT, WIDTH), np.bool_)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            passable[y, x] = cell in "#+"
            doors[y, x] = cell == "+"
    return passable, doors, np.zeros((8, HEIGHT, WIDTH), np.bool_)


def only(y: int, x: int):
    cells = np.zeros((HEIGHT, WIDTH), np.bool_)
    cells[y, x] = True
    return cells


def test_opposite_directions():
    for direction in range(8):
        assert DY[direction] == -DY[direction ^ 2]
        assert DX[direction] == -DX[direction ^ 2]


def test_distances_go_round_walls_and_count_diagonals_as_one():
    passable, doors, blocked = read("###", "  #", "###")
    distance = distances(only(2, 0), passable, doors, blocked)
    assert distance[0].tolist()[:4] == [4, 3, 3, FAR]
    assert distance[2].tolist()[:3] == [0, 1, 2]


def test_nobody_enters_or_leaves_a_door_aslant():
    passable, doors, blocked = read("## ", " +#", "  #")
    distance = distances(only(2, 2), passable, doors, blocked)
    assert distance[1, 1] == 2  # by way of (1, 2)
    assert distance[0, 0] == 3  # past the door, not through it
    assert not can_step(1, 1, 5, passable, doors, blocked)
    assert can_step(1, 1, EAST, passable, doors, blocked)


def test_a_blocked_step_is_blocked_one_way():
    passable, doors, blocked = read("##")
    blocked[EAST, 0, 0] = True
    assert distances(only(0, 1), passable, doors, blocked)[0, 0] == FAR
    assert distances(only(0, 0), passable, doors, blocked)[0, 1] == 1


def test_a_target_need_not_be_passable():
    passable, doors, blocked = read("# ")
    assert distances(only(0, 1), passable, doors, blocked)[0, 0] == 1


def test_steps_lead_to_the_target_whatever_the_luck():
    rng = np.random.default_rng(0)
    passable = rng.random((HEIGHT, WIDTH)) < 0.8
    doors = (rng.random((HEIGHT, WIDTH)) < 0.1) & passable
    blocked = np.zeros((8, HEIGHT, WIDTH), np.bool_)
    passable[10, 70] = True
    distance = distances(only(10, 70), passable, doors, blocked)
    for y, x in np.argwhere((distance > 0) & (distance != FAR))[::40].tolist():
        for steps in range(distance[y, x], 0, -1):
            assert distance[y, x] == steps
            direction = step_towards(distance, y, x, doors, blocked, rng.random())
            assert can_step(y, x, direction, passable, doors, blocked)
            y, x = y + DY[direction], x + DX[direction]
        assert (y, x) == (10, 70)


def test_no_way_is_no_step():
    _, doors, blocked = read("")
    distance = np.full((HEIGHT, WIDTH), FAR, np.int16)
    assert step_towards(distance, 5, 5, doors, blocked, 0.5) == -1


@pytest.mark.parametrize(("luck", "direction"), [(0.0, EAST), (0.999, NORTH_EAST)])
def test_luck_chooses_among_equals(luck, direction):
    distance = np.full((HEIGHT, WIDTH), FAR, np.int16)
    distance[5, 6] = distance[4, 6] = 2
    distance[6, 6] = 3
    _, doors, blocked = read("")
    assert step_towards(distance, 5, 5, doors, blocked, luck) == direction


def test_neighbours_and_exits_at_the_border():
    sums = sum_neighbours(only(0, 0) * 2.5)
    assert sums[0, 1] == sums[1, 0] == sums[1, 1] == 2.5
    assert sums.sum() == 7.5
    exits = count_exits(*read("###", "#+ ")[:2])
    assert exits[0, 0] == 2  # east and south, not aslant into the door
    assert exits[0, 1] == 4  # both sides, the door below, and (1, 0)
    assert exits[1, 1] == 2

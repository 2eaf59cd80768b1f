"""Crop, picture, scaled status; the live comparison with a plain reference is in test_reference."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from motif.blstats import scale_blstats
from motif.games.nethack import observations
from motif.games.nethack.adapter import NetHack
from motif.games.nethack.observations import (
    COMPACT_SPACE,
    PICTURE_SPACE,
    compact_observation,
    crop_cells,
    draw,
    picture_observation,
    tiles,
)
from motif.games.policy_view import PolicyView
from motif.messages import encode

pytestmark = pytest.mark.nle

rows, columns = np.mgrid[0:24, 0:80]
CHARS = (32 + (rows * 7 + columns) % 90).astype(np.uint8)  # every cell tells where it is
COLORS = (1 + (rows + columns) % 15).astype(np.int8)


def observation_at(x, y, **statistics):
    blstats = np.zeros(27, np.int64)
    blstats[:2] = x, y
    for index, value in statistics.items():
        blstats[int(index[1:])] = value
    message = encode("caf\xe9 \xff!")
    return {"message": message, "blstats": blstats, "tty_chars": CHARS, "tty_colors": COLORS}


def test_the_hero_is_at_row_7_column_6_of_the_crop():
    x, y = 40, 10
    screen = np.full((24, 80), ord("."), np.uint8)
    screen[y + 1, x] = ord("@")  # the map begins on the terminal's second row
    cells = crop_cells(screen, np.full((24, 80), 15, np.int8), x, y)
    assert np.argwhere(cells & 255 == ord("@")).tolist() == [[7, 6]]
    assert (cells >> 8 == 15).all()


@given(st.integers(0, 79), st.integers(0, 21))
def test_each_cell_is_the_screens_or_0_off_the_screen(x, y):
    cells = crop_cells(CHARS, COLORS, x, y)
    assert cells.shape == (12, 12)
    assert cells.dtype == np.int16
    for row in range(12):
        for column in range(12):
            there = y - 6 + row, x - 6 + column
            inside = 0 <= there[0] < 24 and 0 <= there[1] < 80
            expected = int(CHARS[there]) + 256 * int(COLORS[there]) if inside else 0
            assert cells[row, column] == expected


def test_the_palette_is_vga_with_the_two_greys():
    colors = [bytes(color).hex() for color in observations.PALETTE]
    assert colors == reference.VGA
    assert (colors[7], colors[8]) == ("808080", "c0c0c0")


def test_tiles_are_coverage_times_colour():
    assert tiles().shape == (4096, 3, 6, 6)
    assert not tiles()[[0, 32, 256 * 15 + 32, 256 * 7]].any()  # NUL, spaces: black
    assert not tiles()[:256].any()  # colour 0
    white = tiles()[256 * 15 + ord("#")]
    assert (white == white[:1]).all()
    assert white.max() > 100
    assert np.array_equal(tiles()[256 * 9 + ord("#")], white * [[[1]], [[0]], [[0]]])
    printable = list(range(33, 127))
    assert len({tiles()[256 * 15 + code].tobytes() for code in printable}) > 85


def test_what_cannot_be_printed_is_a_space():
    white = tiles()[256 * 15 : 256 * 16]
    black = [code for code in range(256) if not white[code].any()]
    # spaces, control characters and the soft hyphen of latin-1
    assert black == [*range(33), *range(127, 161), 173]


def test_the_font_is_the_one_that_was_drawn():
    """Other pixels would be another picture to policies trained on these."""
    hero = tiles()[256 * 15 + ord("@"), 0]
    assert hero.tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 41, 81, 86, 36, 0],
        [97, 117, 104, 120, 174, 16],
        [170, 26, 174, 120, 175, 43],
        [104, 115, 106, 110, 77, 16],
        [0, 41, 96, 111, 47, 0],
    ]


@given(st.integers(0, 2**32 - 1))
def test_draw_puts_each_tile_in_its_place(seed):
    cells = np.random.default_rng(seed).integers(0, 4096, (12, 12)).astype(np.int16)
    picture = draw(cells)
    assert picture.shape == (3, 72, 72)
    assert picture.dtype == np.uint8
    for row, column in ((0, 0), (0, 11), (7, 6), (11, 3)):
        tile = picture[:, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6]
        assert np.array_equal(tile, tiles()[cells[row, column]])


@pytest.mark.parametrize("x, y", [(40, 10), (0, 0), (79, 20), (3, 19), (75, 1)])
def test_the_picture_is_that_of_the_plain_reference(x, y):
    observation = observation_at(x, y)
    picture = picture_observation(observation)["picture"]
    assert np.array_equal(picture, reference.picture(CHARS, COLORS, x, y))


def test_status_is_scaled_and_clipped():
    scaled = scale_blstats(np.arange(27) * 3)
    expected = np.zeros(27)
    expected[[0, 1]] = 0, 3 / 21
    expected[3:9] = np.arange(3, 9) * 0.3
    expected[[10, 11, 14, 15, 16, 18]] = [3, 3.3, 4.2, 4.5, 4.8, 5.0]  # 5.4 is clipped
    expected[[13, 19, 20, 21, 22]] = 0.039, 0.57, 0.06, 5.0, 5.0
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)
    assert scaled.dtype == np.float32
    assert scale_blstats(np.full(27, -1000)).min() == -5.0
    everywhere = scale_blstats(np.full(27, 10**9))
    assert np.flatnonzero(everywhere == 0).tolist() == [2, 9, 12, 17, 23, 24, 25, 26]
    assert set(everywhere[everywhere != 0]) == {5.0}


def test_observations_are_copies():
    observation = observation_at(40, 10)
    observation["message"] = observation["message"].copy()
    for convert in (compact_observation, picture_observation):
        read = convert(observation)
        before = {key: array.copy() for key, array in read.items()}
        observation["message"][:] = 0
        observation["blstats"][:] = 7
        assert all(np.array_equal(before[key], array) for key, array in read.items())
        observation = observation_at(40, 10)


@pytest.mark.parametrize(
    "space, convert",
    [(COMPACT_SPACE, compact_observation), (PICTURE_SPACE, picture_observation)],
)
def test_the_wrapper_on_a_live_game(space, convert):
    env = PolicyView(NetHack().make("NetHackScore-v1"), space, convert)
    env.action_space.seed(0)
    assert env.observation_space == space
    env.unwrapped.seed(1, 2, False)
    rng = np.random.default_rng(0)
    observation, _ = env.reset()
    assert space.contains(observation)
    for _ in range(20):
        observation, *_ = env.step(rng.integers(env.action_space.n))
        assert space.contains(observation)
    env.close()

"""The scripted player, on drawn maps and on real NetHack."""

from __future__ import annotations

import numpy as np
import pytest
from nle import nethack
from nle.env.tasks import TASK_ACTIONS

from motif.collect.games import record_game
from motif.collect.sources import open_task
from motif.games.nethack.adapter import NetHack
from motif.games.nethack.explorer import ExplorerPlayer
from motif.games.nethack.level_memory import Kind, glyph_kinds
from motif.messages import MESSAGE_LENGTH

pytestmark = pytest.mark.nle

SOUTH = 2  # in the order of path_finding
CMAP, MONSTER = nethack.GLYPH_CMAP_OFF, nethack.GLYPH_MON_OFF
NAMES = {nethack.permonst(i).mname: i for i in range(nethack.GLYPH_PET_OFF)}
GLYPHS = {
    " ": CMAP,
    "|": CMAP + 1,
    ".": CMAP + 19,
    "#": CMAP + 21,
    "+": CMAP + 15,
    ">": CMAP + 24,
    "^": CMAP + 42,
    "$": nethack.GLYPH_OBJ_OFF + 410,
    "j": MONSTER + NAMES["jackal"],
    "e": MONSTER + NAMES["floating eye"],
    "d": nethack.GLYPH_PET_OFF + NAMES["little dog"],
    "@": MONSTER + NAMES["monk"],
    "%": nethack.GLYPH_BODY_OFF + NAMES["jackal"],
}


@pytest.fixture(autouse=True)
def neither_chance_nor_patience(monkeypatch):
    monkeypatch.setattr("motif.games.nethack.explorer.RANDOM_SHARE", 0.0)
    monkeypatch.setattr("motif.games.nethack.explorer.EAGER_SHARE", 1.0)
    monkeypatch.setattr("motif.games.nethack.explorer.SNACK_SHARE", 0.0)


def see(
    *rows: str, message: str = "", hp: int = 10, hunger: int = 1, turn: int = 1, level: int = 1
):
    """An observation; the hero is at ``@``."""
    glyphs = np.full((21, 79), CMAP, np.int16)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            glyphs[y, x] = GLYPHS[cell]
    blstats = np.zeros(27, np.int64)
    blstats[1], blstats[0] = np.argwhere(glyphs == GLYPHS["@"])[0]
    blstats[[10, 11, 12, 20, 21, 24]] = hp, 10, level, turn, hunger, level
    text = np.zeros(MESSAGE_LENGTH, np.uint8)
    text[: len(message)] = np.frombuffer(message.encode(), np.uint8)
    return {"glyphs": glyphs, "blstats": blstats, "message": text}


def press(player: ExplorerPlayer, observation) -> str:
    key = int(TASK_ACTIONS[player.act(observation)])
    return {13: "enter", 4: "kick"}.get(key, chr(key))


@pytest.fixture
def player() -> ExplorerPlayer:
    made = ExplorerPlayer(TASK_ACTIONS)
    made.reset(np.random.default_rng(0))
    return made


def test_kinds_of_glyphs():
    kinds = glyph_kinds()
    assert [kinds[GLYPHS[cell]] for cell in " |.#+>^$jed"] == [
        Kind.UNSEEN, Kind.WALL, Kind.FLOOR, Kind.CORRIDOR, Kind.DOOR, Kind.DOWN, Kind.TRAP,
        Kind.TREASURE, Kind.MONSTER, Kind.SESSILE, Kind.PET,
    ]  # fmt: skip
    assert kinds[CMAP + 55] == Kind.HOLE  # a trap door
    assert kinds[nethack.GLYPH_OBJ_OFF + 447] == Kind.BOULDER


@pytest.mark.parametrize(
    ("rows", "key"),
    [
        (["||||", "|@.#", "||||"], "l"),  # the border of the unknown
        (["|||||", "|$.@|", "|||||"], "h"),  # gold
        (["|||||", "|@j.|", "|||||"], "l"),  # a fight
        (["||||||", "|@.>.|", "||||||"], "l"),  # the stairs
        (["|||||", "|@+..", "||+||", "|...|"], "l"),  # not aslant through the door below
        (["||||", "|@||", "||j|", "||||"], "n"),  # a monster is hit aslant
        (["||||", "|@||", "|$||", "||||"], "j"),
        (["|||||", "|@^.#", "|...|", "|||||"], "n"),  # round the trap
        (["||||", "|@e|", "||||"], "s"),  # a floating eye is left alone
        (["|||||", "|@d.#", "|||||"], "l"),  # one changes places with a pet
        (["|||", "|@|", "|||"], "s"),  # shut in: search
    ],
)
def test_what_it_does_next(player, rows, key):
    assert press(player, see(*rows)) == key


def test_it_goes_down_where_it_stood_on_stairs(player):
    assert press(player, see("||||||", "|@>|||", "||||||")) == "l"
    assert press(player, see("||||||", "|.@|||", "||||||")) == ">"


def test_stairs_under_an_object_are_told_by_the_message(player):
    text = "There is a staircase down here.  You see here a dart."
    assert press(player, see("||||", "|@.#", "||||", message=text)) == ">"


def test_it_declines_to_attack_the_peaceful_and_leaves_them_alone(player):
    rows = ["|||||", "|@j.|", "|||||"]
    assert press(player, see(*rows)) == "l"
    assert press(player, see(*rows, message="Really attack the jackal? [yn] (n) ")) == "enter"
    assert press(player, see(*rows)) == "s"


def test_it_kicks_a_locked_door_and_gives_up_at_last(player):
    rows = ["||||", "|@+#", "||||"]
    kicks, key = 0, press(player, see(*rows))
    while key == "l":  # it walks into the door, hears that it is locked, and kicks
        key = press(player, see(*rows, turn=kicks, message="This door is locked."))
        if key == "kick":
            kicks += 1
            assert press(player, see(*rows, turn=kicks, message="In what direction? ")) == "l"
            key = press(player, see(*rows, turn=kicks, message="WHAMM!!!"))
    assert kicks == 25
    assert key == "s"


def test_a_step_that_takes_no_time_is_not_tried_again(player):
    rows = ["||||", "|@.#", "||||"]
    assert press(player, see(*rows)) == "l"
    assert press(player, see(*rows, message="You try in vain.")) == "s"


def test_it_eats_from_the_pack_when_hungry_until_there_is_nothing(player):
    rows = ["||||", "|@.#", "||||"]
    assert press(player, see(*rows, hunger=2)) == "e"
    question = "What do you want to eat? [fgh or ?*] "
    assert press(player, see(*rows, hunger=2, message=question)) == "y"
    nothing = "You don't have anything to eat."
    assert press(player, see(*rows, hunger=2, message=nothing)) == "l"


def test_it_eats_only_what_it_has_just_killed(player):
    room, over = ["|||||", "|@j.|", "|||||"], ["|||||", "|.@.|", "|||||"]
    question = "There is a jackal corpse here; eat it? [ynq] (n) "
    assert press(player, see(*room, turn=5)) == "l"
    press(player, see("|||||", "|@%.|", "|||||", turn=6, message="You kill the jackal!"))
    assert press(player, see(*over, turn=7, hunger=2)) == "e"
    assert press(player, see(*over, turn=7, hunger=2, message=question)) == "y"
    assert press(player, see(*over, turn=60, hunger=2)) == "e"
    assert press(player, see(*over, turn=60, hunger=2, message=question)) == "enter"


def test_it_rests_when_weak_but_not_beside_an_enemy(player):
    assert press(player, see("||||||", "|@.>.|", "||||||", hp=3)) == "s"
    assert press(player, see("||||||", "|@j>.|", "||||||", hp=3)) == "l"


def test_what_happened_on_one_level_says_nothing_of_another(player):
    rows = ["||||", "|@.#", "||||"]
    assert press(player, see(*rows)) == "l"
    assert press(player, see(*rows, message="You try in vain.")) == "s"
    assert press(player, see(*rows, level=2)) == "l"


def test_games_depend_on_their_number_and_get_somewhere(monkeypatch):
    monkeypatch.undo()  # as it really plays
    game = NetHack()
    environment = open_task(game, "NetHackScore-v1", 1000)
    player = ExplorerPlayer(environment.unwrapped.actions)
    games = [record_game(game, environment, player, 1, index) for index in range(6)]
    again = record_game(game, environment, ExplorerPlayer(environment.unwrapped.actions), 1, 5)
    environment.close()
    assert again.arrays["tty_chars"].tobytes() == games[5].arrays["tty_chars"].tobytes()
    assert set(games[0].arrays) == {"message", "blstats", "tty_chars", "tty_colors", "rewards"}
    assert games[0].player == "explorer"
    assert np.mean([game.deepest_level for game in games]) >= 2  # 4 to 5 on most days
    text = b"".join(game.arrays["message"].tobytes() for game in games)
    assert all(words in text for words in (b"You kill the ", b"gold piece", b"You descend"))


def test_a_step_beyond_the_map_is_a_failure_like_others(player):
    view = see(*[""] * 19, "|||", "|@|")  # on the map's last row
    press(player, view)
    player._tried = SOUTH  # as at random, where nothing else is left to do
    press(player, view)
    level = next(iter(player._levels.values()))
    assert level.blocked[SOUTH, 20, 1]

"""The source of played games."""

from __future__ import annotations

import itertools

import pytest

from motif.collect.sources import PlayedGames, open_task
from motif.games.nethack.adapter import NetHack
from motif.play.players import RandomPlayer

pytestmark = pytest.mark.nle
GAME = NetHack()


class NamedPlayer(RandomPlayer):
    def __init__(self, name: str) -> None:
        super().__init__(23)
        self.name = name


def play(names: str, first: int, count: int) -> list[tuple[str, bytes]]:
    source = PlayedGames(
        GAME, open_task(GAME, "NetHackScore-v1", 30), [*map(NamedPlayer, names)], 5
    )
    games = itertools.islice(source.games(first), count)
    return [(game.player, game.arrays["tty_chars"].tobytes()) for game in games]


def test_players_take_turns_by_the_number_of_the_game():
    assert [name for name, _ in play("abc", 0, 5)] == ["a", "b", "c", "a", "b"]
    assert [name for name, _ in play("abc", 4, 3)] == ["b", "c", "a"]


def test_a_number_is_a_game_wherever_one_starts():
    assert play("ab", 0, 5)[3:] == play("ab", 3, 2)


def test_the_environment_is_closed_with_the_games():
    environment = open_task(GAME, "NetHackScore-v1", 30)
    closed = []
    environment.close = lambda: closed.append(True)
    games = PlayedGames(GAME, environment, [RandomPlayer(23)], 5).games(0)
    next(games)
    assert not closed
    games.close()
    assert closed

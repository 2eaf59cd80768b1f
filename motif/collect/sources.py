"""Where the games of a dataset come from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from motif.collect.games import Game, play_game
from motif.play.players import Player


class GameSource(Protocol):
    """A numbered row of games. The extension point for games from elsewhere.

    The same number is the same game, whenever it is asked for: a collection that was interrupted
    goes on with the number after the last game on disk.
    """

    def games(self, first: int) -> Iterator[Game]:
        """Game number ``first``, then the next ones, until there are no more."""


class PlayedGames:
    """Games without end: number k of ``seed`` is played by player k mod the number of players.

    The environment is closed when the iterator is let go of.
    """

    def __init__(self, environment: Any, players: Sequence[Player], seed: int) -> None:
        self._environment, self._players, self._seed = environment, players, seed

    def games(self, first: int) -> Iterator[Game]:
        try:
            for index in itertools.count(first):
                player = self._players[index % len(self._players)]
                yield play_game(self._environment, player, self._seed, index)
        finally:
            self._environment.close()

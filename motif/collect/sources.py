"""Where the games of a dataset come from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from motif.collect.games import RecordedGame, record_game
from motif.collect.settings import MOST_STEPS
from motif.games.game import GameAdapter, Player, check_task, open_game

if TYPE_CHECKING:
    from motif.intrinsic.wrapper import IntrinsicReward


class GameSource(Protocol):
    """A numbered row of games. The extension point for games from elsewhere.

    The same number is the same game, whenever it is asked for: a collection that was interrupted
    goes on with the number after the last game on disk.
    """

    def games(self, first: int) -> Iterator[RecordedGame]:
        """Game number ``first``, then the next ones, until there are no more."""


class PlayedGames:
    """Games without end: number k of ``seed`` is played by player k mod the number of players.

    The environment is closed when the iterator is let go of.
    """

    def __init__(
        self, game: GameAdapter, env: IntrinsicReward, players: Sequence[Player], seed: int
    ) -> None:
        self._game, self._env, self._players, self._seed = game, env, players, seed

    def games(self, first: int) -> Iterator[RecordedGame]:
        try:
            for index in itertools.count(first):
                player = self._players[index % len(self._players)]
                yield record_game(self._game, self._env, player, self._seed, index)
        finally:
            self._env.close()  # type: ignore[no-untyped-call]


def open_task(
    game: GameAdapter, task: str, max_steps: int | None, caption: str = "message"
) -> IntrinsicReward:
    """The task, with no reward but its own.

    Args:
        max_steps: of a game; None: the task's own limit, at most :data:`MOST_STEPS`.

    Raises:
        ConfigError: the game has no such task, or there are no such captions.
        MissingPackageError: a package that the game needs is not installed.
    """
    check_task(game, task, "--task")
    env = open_game(game, task, caption, max_steps=max_steps)
    from motif.intrinsic.wrapper import IntrinsicReward

    if max_steps is None:
        from gymnasium.wrappers import TimeLimit  # type: ignore[attr-defined]

        env = TimeLimit(env, MOST_STEPS)
    return IntrinsicReward(env, None)

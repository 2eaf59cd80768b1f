"""Whole games, with what a dataset needs of each observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from motif.games.game import GameAdapter, Player
from motif.play.rollout import play_episode
from motif.types import AnyArray

if TYPE_CHECKING:
    from motif.intrinsic.wrapper import IntrinsicReward


@dataclass(frozen=True)
class RecordedGame:
    """One game: T observations and how it ended."""

    arrays: dict[str, AnyArray]  # the game's ``arrays`` and "rewards": (T, ...)
    score: float  # as the game last showed it; the return where it shows none
    turns: int
    experience_level: int
    deepest_level: int  # the greatest depth reached; 0 where there is no such thing
    character: str  # as NLE writes it: role-race-alignment-gender
    player: str  # the name of who played it

    def __len__(self) -> int:
        return len(self.arrays["rewards"])


def record_game(
    game: GameAdapter, env: IntrinsicReward, player: Player, seed: int, index: int
) -> RecordedGame:
    """Play game number ``index`` of the run seeded with ``seed`` to its end.

    The game and the player depend on (seed, index) alone, whatever was played before. On top of
    these NetHack reads the date (moon phase, Friday the 13th), so the same game comes out again
    on the same date only.

    The reset observation is kept, with reward 0, and so are empty messages; the observation of the
    step that ends a game is not.
    """
    first, second = np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(2).tolist()
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 1)))
    steps: dict[str, list[Any]] = {key: [] for key in (*game.arrays, "rewards")}
    kept: dict[str, Any] = {}
    for step, episode in play_episode(game, env, player, rng, (first, second)):
        if step.ended or game.is_over(step.observation):
            break
        for key in game.arrays:
            steps[key].append(step.observation[key].copy())  # games reuse their buffers
        steps["rewards"].append(step.reward)
        kept = episode.info
    arrays = {key: np.stack(steps[key]) for key in game.arrays}
    arrays["rewards"] = np.array(steps["rewards"], dtype=np.float32)
    info = episode.info
    return RecordedGame(
        arrays,
        score=info.get("score", episode.game_return),
        turns=int(kept.get("turns", len(arrays["rewards"]))),
        experience_level=int(info.get("xlvl", 0)),
        deepest_level=int(kept.get("deepest", 0)),
        character=game.character,
        player=player.name,
    )

"""Games that NLE records while they are played, and how much comes back from the recordings.

Games are played through ``NetHackScore-v1``; the message and the status that the environment
returns are kept. Each step is compared with the frame on which the player's next key was pressed:
the screen that he saw.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium
import numpy as np
from nle import nethack

import motif.games.nethack  # noqa: F401  registers the tasks
from benchmarks.env_steps import KeyRecorder
from motif.collect.ttyrec import read_game
from motif.collect.ttyrec_index import Recording, index_folder
from motif.games.game import Player
from motif.games.nethack.adapter import NetHack
from motif.messages import decode
from motif.types import AnyArray

FIELDS = {
    getattr(nethack, name): name.removeprefix("NLE_BL_")
    for name in dir(nethack)
    if name.startswith("NLE_BL_")
}


@dataclass
class Agreement:
    """Counts over steps."""

    steps: int = 0
    messages: int = 0
    fields: AnyArray = field(default_factory=lambda: np.zeros(len(FIELDS), dtype=np.int64))
    screens: int = 0

    @property
    def share(self) -> float:
        """Of messages that are the same, byte for byte."""
        return self.messages / self.steps

    def shares_of_fields(self) -> dict[str, float]:
        return {FIELDS[index]: count / self.steps for index, count in enumerate(self.fields)}


def record(
    folder: Path, player: Player, games: int, steps: int, seed: int = 1
) -> list[list[tuple[int, dict[str, AnyArray]]]]:
    """Play into ``folder``; for each game its steps, as (frame, what the environment returned)."""
    spec = copy.deepcopy(gymnasium.spec("NetHackScore-v1"))
    spec.kwargs |= {
        "observation_keys": ("message", "blstats", "tty_chars", "tty_colors", "glyphs"),
        "character": NetHack.character,
        "max_episode_steps": steps,
        "save_ttyrec_every": 1,
        "savedir": str(folder / "run"),
    }
    played = []
    with closing(gymnasium.make(spec)) as environment:
        keys = KeyRecorder(environment.unwrapped.nethack)
        environment.unwrapped.nethack = keys
        for game in range(games):
            keys.keys.clear()
            environment.unwrapped.seed(seed, game, reseed=False)
            player.reset(np.random.default_rng([seed, game]))
            played.append(list(_play(environment, player, keys)))
        environment.unwrapped.nethack = keys._game
    return played


def _play(
    environment: gymnasium.Env, player: Player, keys: KeyRecorder
) -> Iterator[tuple[int, dict[str, AnyArray]]]:
    observation, _ = environment.reset()
    ended = False
    while not ended and observation["blstats"].any():
        yield len(keys.keys) - 1, {name: array.copy() for name, array in observation.items()}
        observation, _, ended, _, _ = environment.step(player.act(observation))


def compare(folder: Path, played: Sequence[list[tuple[int, dict[str, AnyArray]]]]) -> Agreement:
    """Convert the recordings of ``folder`` and compare them with what the environment returned."""
    result = Agreement()
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch) / "ttyrecs.db"
        for dataset, game in index_folder(folder, 0, database):
            recording = Recording(database, dataset, game)
            episode = int(recording.paths[0].name.split(".")[2])  # nle.<process>.<episode>.…
            arrays = read_game(recording, 0, recording.count_frames()).arrays
            for frame, said in played[episode]:
                result.steps += 1
                texts = decode(said["message"]), decode(arrays["message"][frame])
                result.messages += texts[0] == texts[1]
                result.fields += said["blstats"] == arrays["blstats"][frame]
                result.screens += all(
                    np.array_equal(said[key], arrays[key][frame])
                    for key in ("tty_chars", "tty_colors")
                )
    return result

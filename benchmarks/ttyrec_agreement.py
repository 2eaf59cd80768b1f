"""How much of what the environment said comes back from its recording, and how fast.

    python -m benchmarks.ttyrec_agreement
    python -m benchmarks.ttyrec_agreement --players random --games 4 --steps 500

Games are played through ``NetHackScore-v1`` while NLE records them; the message and the status that
the environment returns are kept. Then the recordings are converted, and each step is compared with
the frame on which the player's next key was pressed: the screen that he saw. Speed: frames/s of the
conversion, and of NLE's own reader of the same files, which it cannot beat.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import numpy as np
from nle import nethack
from nle.env.tasks import TASK_ACTIONS

import motif.games.nethack  # noqa: F401  registers the tasks
from benchmarks.env_steps import KeyRecorder
from benchmarks.report import report
from motif.collect.games import CHARACTER
from motif.collect.ttyrec import TtyrecGames, read_game
from motif.collect.ttyrec_index import Recording, index_folder
from motif.games.nethack.explorer import ExplorerPlayer
from motif.messages import decode
from motif.play.players import Player, RandomPlayer
from motif.types import AnyArray

FIELDS = {
    getattr(nethack, name): name.removeprefix("NLE_BL_")
    for name in dir(nethack)
    if name.startswith("NLE_BL_")
}
ROUNDS = 5


@dataclass
class Agreement:
    """Counts over steps."""

    steps: int = 0
    messages: int = 0
    fields: AnyArray = field(default_factory=lambda: np.zeros(len(FIELDS), dtype=np.int64))
    screens: int = 0
    different: Counter[tuple[str, str]] = field(default_factory=Counter)  # said, converted

    @property
    def share(self) -> float:
        """Of messages that are the same, byte for byte."""
        return self.messages / self.steps

    def shares_of_fields(self) -> dict[str, float]:
        return {FIELDS[index]: count / self.steps for index, count in enumerate(self.fields)}


def make_player(name: str) -> Player:
    keys = [int(key) for key in TASK_ACTIONS]
    return RandomPlayer(len(keys)) if name == "random" else ExplorerPlayer(keys)


def record(
    folder: Path, player: Player, games: int, steps: int, seed: int = 1
) -> list[list[tuple[int, dict[str, AnyArray]]]]:
    """Play into ``folder``; for each game its steps, as (frame, what the environment returned)."""
    spec = copy.deepcopy(gymnasium.spec("NetHackScore-v1"))
    spec.kwargs |= {
        "observation_keys": ("message", "blstats", "tty_chars", "tty_colors", "glyphs"),
        "character": CHARACTER,
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
                if texts[0] != texts[1]:
                    result.different[texts] += 1
    return result


def frames_per_second(convert: Callable[[], int]) -> float:
    start = time.process_time()
    frames = convert()
    return frames / (time.process_time() - start)


def measure_speed(folder: Path) -> tuple[float, float]:
    """Frames per CPU second: converted, and by NLE's reader alone; medians of alternated rounds."""
    source = TtyrecGames([folder], longest=1 << 20, seed=0)

    def ours() -> int:
        return sum(len(game) for game in source.games(0))

    def bare() -> int:
        games = (Recording(source.database, *game) for game in source.recorded)
        return sum(len(chunk["timestamps"]) for game in games for chunk in game.chunks())

    rounds = [(frames_per_second(ours), frames_per_second(bare)) for _ in range(ROUNDS)]
    return median(each[0] for each in rounds), median(each[1] for each in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--players", nargs="+", default=["random", "explorer"], choices=["random", "explorer"]
    )
    parser.add_argument("--games", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for name in args.players:
        with tempfile.TemporaryDirectory() as folder:
            played = record(Path(folder), make_player(name), args.games, args.steps)
            found = compare(Path(folder), played)
            ours, bare = measure_speed(Path(folder))
        for (said, converted), count in found.different.most_common(5):
            print(f"{name}: {count} times {said!r} became {converted!r}")
        figures[name] = {
            "steps": found.steps,
            "messages": round(found.share, 5),
            "screens": round(found.screens / found.steps, 5),
            "blstats": {key: round(v, 4) for key, v in found.shares_of_fields().items() if v < 1},
            "frames/s": round(ours),
            "NLE's reader, frames/s": round(bare),
        }
        ratios[f"{name}: speed against NLE's reader"] = round(ours / bare, 3)
    report("ttyrec_agreement", figures, ratios)


if __name__ == "__main__":
    main()

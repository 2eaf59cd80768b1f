"""Games from ttyrecs: other people's (NLD-AA, NLD-NAO), or what our own agents recorded."""

from __future__ import annotations

import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motif.blstats import BLSTATS_SIZE, DEPTH, EXPERIENCE_LEVEL, SCORE, TURN
from motif.collect.games import RecordedGame
from motif.collect.ttyrec_index import DamagedRecording, Recording, index_folder
from motif.games.nethack.adapter import NetHack
from motif.games.nethack.screen import read_screens, read_status
from motif.messages import printable
from motif.types import AnyArray

UNKNOWN = "unknown"
REDRAW_MICROSECONDS = 1000


class TtyrecGames:
    """The recorded games below some folders, in an order drawn from ``seed``.

    Of each game one stretch of consecutive frames is kept, so that memory does not depend on how
    long people play; where it starts is drawn from ``seed`` and the game's place. Damaged
    recordings are skipped and named on stderr.

    Args:
        folders: see :data:`motif.collect.ttyrec_index.EXPECTED` for their layouts.
        longest: frames kept of a game.

    Attributes:
        database: NLE's index, removed with this object.
        recorded: all games, as :class:`motif.collect.ttyrec_index.Recording` takes them.

    Raises:
        DatasetError: a folder holds no recorded games.
    """

    def __init__(self, folders: Sequence[Path], longest: int, seed: int) -> None:
        self._longest, self._seed = longest, seed
        scratch = tempfile.mkdtemp(prefix="motif-ttyrec-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        self.database = Path(scratch) / "ttyrecs.db"
        games = [
            game
            for number, folder in enumerate(folders)
            for game in index_folder(folder, number, self.database)
        ]
        order = np.random.default_rng(seed).permutation(len(games))
        self.recorded = [games[index] for index in order]

    def games(self, first: int) -> Iterator[RecordedGame]:
        """The readable games from number ``first`` on."""
        number = skipped = 0
        for dataset, game in self.recorded:
            try:
                recording = Recording(self.database, dataset, game)
                frames = recording.count_frames()
            except DamagedRecording as error:
                skipped += 1
                print(printable(f"skipped recording {skipped}: {error}"), file=sys.stderr)
                continue
            if number >= first:
                yield read_game(recording, self._start(number, frames), self._longest)
            number += 1

    def _start(self, number: int, frames: int) -> int:
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(number,)))
        return int(rng.integers(max(frames - self._longest, 0) + 1))


def read_game(recording: Recording, start: int, longest: int) -> RecordedGame:
    """``longest`` frames from frame ``start`` on, and how the whole game ended."""
    kept: list[dict[str, AnyArray]] = []
    position, final = 0, np.zeros(BLSTATS_SIZE, dtype=np.int64)
    for chunk in recording.chunks():
        length = len(chunk["tty_chars"])
        first, end = np.clip([start - position, start + longest - position], 0, length)
        if first < end:
            part = {key: array[first:end] for key, array in chunk.items()}
            if recording.version == 1:
                part = _settled(part)
            kept.append(_observe(part, kept[-1] if kept else None))
        final = _last_status(chunk, final)
        position += length
    arrays = {key: np.concatenate([part[key] for part in kept]) for key in NetHack.arrays}
    score = arrays["blstats"][:, SCORE]
    arrays["rewards"] = np.diff(score, prepend=score[:1]).astype(np.float32)
    facts = recording.facts
    return RecordedGame(
        arrays,
        score=int(final[SCORE] or facts["points"] or 0),
        turns=int(final[TURN] or facts["turns"] or 0),
        experience_level=int(final[EXPERIENCE_LEVEL]),
        deepest_level=int(arrays["blstats"][:, DEPTH].max()),
        character=_character(facts),
        player=facts["name"] or UNKNOWN,
    )


def _observe(part: dict[str, AnyArray], before: dict[str, AnyArray] | None) -> dict[str, AnyArray]:
    """What a game keeps of consecutive frames; ``before`` is the part before."""
    last = None if before is None else before["blstats"][-1]
    message, blstats = read_screens(part["tty_chars"], part["tty_cursor"], part.get("scores"), last)
    screens = {key: part[key].copy() for key in ("tty_chars", "tty_colors")}  # NLE reuses them
    return {"message": message, "blstats": blstats, **screens}


def _settled(part: dict[str, AnyArray]) -> dict[str, AnyArray]:
    """Without frames that show nothing new, or a screen that is still being drawn.

    In version 1 a frame is what the terminal got at once, which may be a piece of a screen: then
    the next one follows faster than anybody presses a key.
    """
    waits = np.diff(part["timestamps"], append=np.iinfo(np.int64).max)
    part = {key: array[waits >= REDRAW_MICROSECONDS] for key, array in part.items()}
    new = np.zeros(len(part["timestamps"]), dtype=bool)
    new[0] = True
    for key in ("tty_chars", "tty_colors", "tty_cursor"):
        changed = part[key][1:] != part[key][:-1]
        new[1:] |= changed.any(axis=tuple(range(1, changed.ndim)))
    return {key: array[new] for key, array in part.items()}


def _last_status(chunk: dict[str, AnyArray], earlier: AnyArray) -> AnyArray:
    """The status that the last frame which shows one shows."""
    for index in range(len(chunk["tty_chars"]) - 1, -1, -1):
        status = read_status(chunk["tty_chars"][index])
        if status is not None:
            status = status.copy()
            status[SCORE] = chunk["scores"][index] if "scores" in chunk else status[SCORE]
            return status
    return earlier


def _character(facts: dict[str, Any]) -> str:
    """As NLE writes it; ``unknown`` if no xlogfile tells."""
    names = [facts[key] for key in ("role", "race", "align", "gender")]
    return "-".join(names).lower() if all(names) else UNKNOWN

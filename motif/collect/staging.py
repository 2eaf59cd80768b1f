"""Games on disk while a dataset is being collected: blocks of games, each written at once."""

from __future__ import annotations

import contextlib
import datetime
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import atomic_write
from motif.collect.games import RecordedGame
from motif.errors import DatasetError
from motif.types import AnyArray

OBSERVATIONS_PER_BLOCK = 8192  # some 35 MB: what memory holds, and what a crash costs

PER_GAME = ("score", "turns", "experience_level", "deepest_level", "character", "player")


class Staging:
    """The folder of blocks; a block is there whole or not at all.

    Where blocks end depends on the games alone, so an interrupted collection goes on exactly as
    an uninterrupted one would have.

    Attributes:
        per_game: for ``length`` (observations) and each name of ``PER_GAME``, one value a game,
            in the order of play.
        dates: the days on which the games on disk were played.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.per_game: dict[str, list[Any]] = {name: [] for name in ("length", *PER_GAME)}
        self.dates: set[str] = set()
        self._pending: list[RecordedGame] = []  # not on disk yet
        for path in self._paths():
            with self._reading(path) as archive:
                for name, values in self.per_game.items():
                    values.extend(archive[name].tolist())
                self.dates.add(str(archive["date"]))

    def __len__(self) -> int:
        """Games so far."""
        return len(self.per_game["length"])

    def add(self, game: RecordedGame) -> None:
        """Keep ``game``, played today; a block goes to disk once it is large enough."""
        self._pending.append(game)
        self.per_game["length"].append(len(game))
        for name in PER_GAME:
            self.per_game[name].append(getattr(game, name))
        if sum(map(len, self._pending)) >= OBSERVATIONS_PER_BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write the games added since the last block."""
        if not self._pending:
            return
        first = len(self) - len(self._pending)
        date = datetime.date.today().isoformat()
        block: dict[str, AnyArray] = {"date": np.array(date)}
        block |= {name: np.array(values[first:]) for name, values in self.per_game.items()}
        for key in self._pending[0].arrays:
            block[key] = np.concatenate([game.arrays[key] for game in self._pending])
        path = self.folder / f"block-{len(self._paths()):06}.npz"
        content = io.BytesIO()  # on a full disk a half archive would complain as it is collected
        np.savez(content, **block)  # type: ignore[arg-type]
        with atomic_write(path) as temporary:
            temporary.write_bytes(content.getbuffer())
        self.dates.add(date)
        self._pending = []

    def blocks(self) -> Iterator[tuple[int, dict[str, AnyArray]]]:
        """Each block's first game and its arrays, one block in memory at a time."""
        first = 0
        for path in self._paths():
            with self._reading(path) as archive:
                block = dict(archive)
            yield first, block
            first += len(block["length"])

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("block-*.npz"))

    @contextlib.contextmanager
    def _reading(self, path: Path) -> Iterator[Mapping[str, AnyArray]]:
        """A block's arrays; the archive has a checksum for each, which reading compares."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                yield archive
        except Exception as error:  # numpy and zipfile raise nearly every kind for damage
            raise DatasetError(
                f"{path} cannot be read ({error}); delete {self.folder} to start over"
            ) from None

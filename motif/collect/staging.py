"""Games on disk while a dataset is being collected."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from motif.atomic_write import atomic_write
from motif.collect.games import RecordedGame
from motif.errors import DatasetError
from motif.types import AnyArray

PER_GAME = ("score", "turns", "experience_level", "deepest_level", "character", "player")


class Staging:
    """The folder of games, each a file that is there whole or not at all.

    Attributes:
        per_game: for ``length`` (observations), ``date`` (of play) and each name of ``PER_GAME``,
            one value a game, in the order of play.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.per_game: dict[str, list[Any]] = {name: [] for name in ("length", "date", *PER_GAME)}
        for facts in self.games(*self.per_game):
            self._remember(facts)

    def __len__(self) -> int:
        """Games so far."""
        return len(self.per_game["length"])

    def add(self, game: RecordedGame) -> None:
        """Keep ``game``, played today."""
        facts = {name: np.array(getattr(game, name)) for name in PER_GAME}
        facts |= {"length": np.array(len(game)), "date": np.array(str(datetime.date.today()))}
        content = io.BytesIO()  # on a full disk a half archive would complain as it is collected
        np.savez(content, **game.arrays, **facts)
        with atomic_write(self.folder / f"game-{len(self):06}.npz") as temporary:
            temporary.write_bytes(content.getbuffer())
        self._remember(facts)

    def games(self, *names: str) -> Iterator[dict[str, AnyArray]]:
        """These arrays (all, without names) of each game, one game in memory at a time.

        Raises:
            DatasetError: a file is damaged; the archive has a checksum for each array.
        """
        for path in sorted(self.folder.glob("game-*.npz")):
            try:
                with np.load(path, allow_pickle=False) as archive:
                    arrays = {name: archive[name] for name in names or archive.files}
            except Exception as error:  # numpy and zipfile raise nearly every kind for damage
                raise DatasetError(
                    f"{path} cannot be read ({error}); delete {self.folder} to start over"
                ) from None
            yield arrays

    def _remember(self, facts: dict[str, AnyArray]) -> None:
        for name, values in self.per_game.items():
            values.append(facts[name].item())

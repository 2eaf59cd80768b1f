"""Stage 0: take games, keep their observations, sample pairs, write the dataset.

Everything happens in ``<directory>/.collecting`` until the dataset is whole; then its parts are
renamed into place, ``data`` last. A dataset is there if ``data`` is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from motif.atomic_write import write_json
from motif.collect.publishing import publish, write_arrays
from motif.collect.settings import CollectionConfig
from motif.collect.sources import GameSource
from motif.collect.staging import Staging
from motif.errors import DatasetError
from motif.file_lock import only_run
from motif.pairs_dataset import PROVENANCE, read_provenance

STAGING = ".collecting"
FIRST_GAMES = 100  # one of which must be long enough for a side


def collect(config: CollectionConfig, open_source: Callable[[], GameSource]) -> dict[str, Any]:
    """Make the dataset of ``config``, or go on with it; nothing to do if it is there.

    On one date the same settings give the same bytes, interrupted or not.

    Args:
        open_source: where games come from; called only if games are needed.

    Returns:
        The provenance, as in ``collection.json``.

    Raises:
        DatasetError: the folder holds a dataset, whole or begun, that was made with other
            settings or by something else, another run is collecting it, or the source has too
            few games.
    """
    directory = Path(config.directory)
    busy = DatasetError(f"another run is collecting into {directory}; wait for it, or stop it")
    with only_run(directory, busy):
        begun = directory / STAGING
        if (directory / "data").exists():
            if not (directory / PROVENANCE).is_file():
                raise DatasetError(
                    f"{directory} holds a dataset that this command did not make (it has no "
                    f"{PROVENANCE}); choose another --directory"
                )
            made = read_provenance(directory)
            config.check(made.get("settings", {}), "choose another --directory")
            shutil.rmtree(begun, ignore_errors=True)
            return made
        if (begun / PROVENANCE).exists():
            made_with = read_provenance(begun).get("settings", {})
            config.check(made_with, f"delete {begun} to start over")
        else:
            _refuse_foreign(directory)
        staging = Staging(begun)
        _take_games(config, open_source, staging)
        write_arrays(config, staging)
        return publish(config, staging)


def _refuse_foreign(directory: Path) -> None:
    for name in ("info", PROVENANCE):
        if (directory / name).exists():
            raise DatasetError(
                f"{directory / name} is there without {directory / 'data'}, so this is a damaged "
                "dataset; choose another --directory, or move it away"
            )


def _take_games(
    config: CollectionConfig, open_source: Callable[[], GameSource], staging: Staging
) -> None:
    """Take games until they yield enough sides; the last one is kept whole."""
    needed = config.candidates_per_pair * config.num_pairs
    sides = sum(length // config.seq_len for length in staging.per_game["length"])
    if sides >= needed:
        return
    games = open_source().games(len(staging))
    write_json(staging.folder / PROVENANCE, {"settings": config.settings})
    wanted = needed * config.seq_len
    with tqdm(total=wanted, initial=sides * config.seq_len, unit="obs", desc="playing") as bar:
        for game in games:
            staging.add(game)
            sides += len(game) // config.seq_len
            score = np.mean(staging.per_game["score"])
            bar.set_postfix(games=len(staging), score=f"{score:.1f}", refresh=False)
            bar.update(min(len(game), wanted - bar.n))
            if sides >= needed:
                break
            if not sides and len(staging) == FIRST_GAMES:
                shutil.rmtree(staging.folder)
                raise DatasetError(
                    f"none of the first {FIRST_GAMES} games has --seq_len {config.seq_len} steps; "
                    "make it smaller, or --max_episode_steps larger"
                )
    if sides < needed:
        shutil.rmtree(staging.folder)  # else another --num_pairs would be refused
        raise DatasetError(
            f"there are {len(staging)} games, good for "
            f"{sides // config.candidates_per_pair} pairs, and no more; "
            f"--num_pairs {config.num_pairs} needs other sources or must be smaller"
        )

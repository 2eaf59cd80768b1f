"""From games on disk to a dataset: its arrays, how it was made, and the moment it is there."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from motif.atomic_write import write_json
from motif.collect.pairs import message_rarity, sample_sides, windows
from motif.collect.settings import CollectionConfig
from motif.collect.staging import Staging
from motif.pairs_dataset import (
    ARRAYS,
    EXTRA_ARRAYS,
    PROVENANCE,
    PairsDataset,
    array_sums,
    arrays_present,
)
from motif.types import AnyArray

INFO = ("score", "turns", "experience_level")  # known of each game


def write_arrays(config: CollectionConfig, staging: Staging) -> None:
    """Write ``data`` and ``info`` into the staging folder, one game at a time."""
    rng = np.random.default_rng(config.seed)
    rarity = message_rarity(staging, config.rarity_exponent) if config.sampling == "rare" else None
    game_of_side, start_of_side, weight_of_side = sample_sides(
        staging.per_game["length"], config.num_pairs, config.seq_len, rng, rarity
    )
    info: dict[str, AnyArray] = {
        name: np.array(staging.per_game[name])[game_of_side] for name in INFO
    }
    info["character"] = np.array(staging.per_game["character"], np.bytes_)[game_of_side]
    if config.sampling == "rare":
        info["weight"] = weight_of_side.astype(np.float32)
    for name, values in info.items():
        _create(staging, name, values.shape, values.dtype)[:] = values
    observed = [name for name, spec in ARRAYS.items() if spec.folder == "data"]
    with tqdm(total=2 * config.num_pairs, unit="side", desc="writing") as bar:
        for number, game in enumerate(staging.games()):
            mine = np.nonzero(game_of_side == number)
            rows = windows(start_of_side[mine], config.seq_len)
            for name in [name for name in observed if name in game]:
                if number == 0:
                    shape = (*game_of_side.shape, config.seq_len, *game[name].shape[1:])
                    output = _create(staging, name, shape, game[name].dtype)
                else:  # mapped anew for each game, so that memory holds one game's pages
                    output = np.load(_path(staging, name), mmap_mode="r+")
                output[mine] = game[name][rows]
            bar.update(len(rows))
    for name in arrays_present(staging.folder):
        with _path(staging, name).open("rb+") as file:
            os.fsync(file.fileno())


def _path(staging: Staging, name: str) -> Path:
    return staging.folder / (ARRAYS | EXTRA_ARRAYS)[name].folder / f"{name}.npy"


def _create(staging: Staging, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    path = _path(staging, name)
    path.parent.mkdir(exist_ok=True)
    array: AnyArray
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)  # type: ignore[no-untyped-call]
    with path.open("rb+") as file:  # else a full disk is a bus error later, not an OSError now
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def publish(config: CollectionConfig, staging: Staging) -> dict[str, Any]:
    """Rename the dataset's parts into place, ``data`` last, and remove the games.

    Returns:
        How it was made.
    """
    directory = Path(config.directory)
    provenance = {
        "settings": config.settings,
        "games": len(staging),
        "observations": sum(staging.per_game["length"]),
        "mean_score": float(np.mean(staging.per_game["score"])),
        "players": _per_player(staging),
        "characters": sorted(set(staging.per_game["character"])),
        **({"nle": version("nle")} if config.game == "nethack" else {}),
        # NetHack reads the date: the same games come out again on the same date only.
        "dates": sorted(set(staging.per_game["date"])),
        "sha256": array_sums(PairsDataset(staging.folder, arrays_present(staging.folder))),
    }
    shutil.rmtree(directory / "info", ignore_errors=True)  # of a run killed while publishing
    os.replace(staging.folder / "info", directory / "info")
    write_json(directory / PROVENANCE, provenance)
    os.replace(staging.folder / "data", directory / "data")
    shutil.rmtree(staging.folder)
    return provenance


def _per_player(staging: Staging) -> dict[str, dict[str, Any]]:
    """How each player did."""
    length, score, deepest, players = (
        np.array(staging.per_game[key]) for key in ("length", "score", "deepest_level", "player")
    )
    return {
        name: {
            "games": int(mine.sum()),
            "observations": int(length[mine].sum()),
            "mean_score": float(score[mine].mean()),
            "median_score": float(np.median(score[mine])),
            "mean_deepest_level": float(deepest[mine].mean()),
        }
        for name in dict.fromkeys(staging.per_game["player"])
        for mine in [players == name]
    }

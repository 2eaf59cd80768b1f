"""Stage 0: take games, keep their observations, sample pairs, write the dataset.

Everything happens in ``<directory>/.collecting`` until the dataset is whole; then its parts are
renamed into place, ``data`` last. A dataset is there if ``data`` is.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from motif.atomic_write import write_json
from motif.cli import option
from motif.collect.pairs import count_starts, message_rarity, sample_sides, windows
from motif.collect.sources import GameSource
from motif.collect.staging import Staging
from motif.errors import ConfigError, DatasetError
from motif.file_lock import only_run
from motif.pairs_dataset import (
    ARRAYS,
    EXTRA_ARRAYS,
    PROVENANCE,
    PairsDataset,
    array_sums,
    arrays_present,
    read_provenance,
)
from motif.types import AnyArray

STAGING = ".collecting"
OF_PLAYING = (
    "game",
    "policy",
    "checkpoint",
    "task",
)  # what games from elsewhere lack
INFO = ("score", "turns", "experience_level")  # known of each game


@dataclass(frozen=True)
class CollectionConfig:
    """Settings of stage 0; all but ``directory`` decide what the dataset holds."""

    directory: str = option("motif_dataset", "folder of the dataset")
    game: str = option("nethack", "the game: nethack, or module:Adapter of your own")
    num_pairs: int = option(20_000, "pairs to sample; the release has 100,000")
    policy: tuple[Literal["random", "explorer", "checkpoint"], ...] = option(
        ("random",),
        "who plays: game k falls to player k mod their number, so one named twice plays twice as "
        "often; random: any action; explorer: a scripted player; checkpoint: each of --checkpoint, "
        "in their order",
    )
    checkpoint: tuple[str, ...] = option(
        (),
        "for --policy checkpoint, RUN[@STEPS]: folders of RL runs (<train_dir>/<experiment>) and "
        "the environment steps of their policy; without @STEPS the last policy there is",
    )
    ttyrec: tuple[str, ...] = option(
        (),
        "folders of recorded games to take instead of playing: NLD-AA, NLD-NAO, a --save_dir of "
        "ours, or plain .ttyrec.bz2 files",
        metavar="DIR",
    )
    task: str = option("NetHackScore-v1", "Gymnasium id of the task that is played")
    seq_len: int = option(1, "observations on each side of a pair; 1 in the release")
    max_episode_steps: int = option(
        5000, "agent steps after which a game is ended; with --ttyrec, frames kept of a game"
    )
    seed: int = option(777, "of the games, the players and the sampling")
    sampling: Literal["uniform", "rare"] = option(
        "uniform", "of observations: all alike, as in the release, or rare messages more often"
    )
    rarity_exponent: float = option(
        0.5, "for --sampling rare: a message seen n times has the weight n**-rarity_exponent"
    )
    candidates: int = option(
        4, "for --sampling rare: how many observations to choose from, for each that is chosen"
    )

    def __post_init__(self) -> None:
        for name in ("num_pairs", "seq_len", "max_episode_steps", "candidates"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ConfigError(f"--seed must not be negative, got {self.seed}")
        if self.seq_len > self.max_episode_steps:
            raise ConfigError(
                f"--seq_len {self.seq_len} is longer than any game "
                f"(--max_episode_steps {self.max_episode_steps})"
            )
        if self.ttyrec:
            self._refuse_playing()
        if not 0 <= self.rarity_exponent <= 2:
            raise ConfigError(
                f"--rarity_exponent must be between 0 and 2, got {self.rarity_exponent}"
            )
        if self.policy.count("checkpoint") > 1:
            raise ConfigError("--policy names checkpoint twice; give --checkpoint several policies")
        if ("checkpoint" in self.policy) != bool(self.checkpoint):
            raise ConfigError(
                "--policy checkpoint and --checkpoint RUN belong together: got --policy "
                f"{' '.join(self.policy)}, --checkpoint {' '.join(self.checkpoint) or None}"
            )

    def _refuse_playing(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in OF_PLAYING and value != field.default:
                given = " ".join(value) if isinstance(value, tuple) else value
                raise ConfigError(
                    f"--ttyrec takes recorded games, so --{field.name} {given} means nothing; "
                    "leave one of them out"
                )

    @property
    def settings(self) -> dict[str, Any]:
        """What two runs must share to work on the same dataset, as JSON has it."""
        unused = {"directory", *(OF_PLAYING if self.ttyrec else ())}
        if self.game == "nethack":  # as datasets say that were made before there were others
            unused.add("game")
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if name not in unused
        }

    @property
    def candidates_per_pair(self) -> int:
        """How many sides the games must offer for each pair."""
        return 2 * (self.candidates if self.sampling == "rare" else 1)


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
        if (directory / "data").exists():
            _check_settings(config, directory / PROVENANCE, "choose another --directory")
            shutil.rmtree(directory / STAGING, ignore_errors=True)
            return read_provenance(directory)
        begun = directory / STAGING / PROVENANCE
        if begun.exists():
            _check_settings(config, begun, f"delete {begun.parent} to start over")
        else:
            _refuse_foreign(directory)
        staging = Staging(begun.parent)
        _take_games(config, open_source, staging)
        _write_arrays(config, staging)
        return _publish(config, staging)


def _take_games(
    config: CollectionConfig, open_source: Callable[[], GameSource], staging: Staging
) -> None:
    """Take games until they yield enough sides; the last one is kept whole."""
    needed = config.candidates_per_pair * config.num_pairs
    sides = sum(count_starts(length, config.seq_len) for length in staging.per_game["length"])
    if sides >= needed:
        return
    games = open_source().games(len(staging))
    write_json(staging.folder / PROVENANCE, {"settings": config.settings})
    wanted = needed * config.seq_len
    bar = tqdm(total=wanted, initial=sides * config.seq_len, unit="obs", desc="playing")
    with bar:
        for game in games:
            staging.add(game, _today())
            sides += count_starts(len(game), config.seq_len)
            scores = staging.per_game["score"]
            bar.set_postfix(games=len(staging), score=f"{np.mean(scores):.1f}", refresh=False)
            bar.update(min(len(game), wanted - bar.n))
            if sides >= needed:
                break
    if sides < needed:
        shutil.rmtree(staging.folder)  # else another --num_pairs would be refused
        raise DatasetError(
            f"there are {len(staging)} games, good for "
            f"{sides // config.candidates_per_pair} pairs, and no more; "
            f"--num_pairs {config.num_pairs} needs other sources or must be smaller"
        )
    staging.flush(_today())


def _write_arrays(config: CollectionConfig, staging: Staging) -> None:
    """Write ``data`` and ``info`` into the staging folder, one block of games at a time."""
    rng = np.random.default_rng(config.seed)
    sides = (config.num_pairs, 2)
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
    arrays = [name for name, spec in ARRAYS.items() if spec.folder == "data"]
    data = [name for name in arrays if name in staging.arrays()]
    with tqdm(total=2 * config.num_pairs, unit="side", desc="writing") as bar:
        for first, block in staging.blocks():
            ends = np.cumsum(block["length"])
            mine = np.nonzero((game_of_side >= first) & (game_of_side < first + len(ends)))
            offsets = (ends - block["length"])[game_of_side[mine] - first]
            rows = windows(offsets + start_of_side[mine], config.seq_len)
            for name in data:
                if first == 0:
                    shape = (*sides, config.seq_len, *block[name].shape[1:])
                    output = _create(staging, name, shape, block[name].dtype)
                else:  # mapped anew for each block, so that memory holds one block's pages
                    output = np.load(_path(staging, name), mmap_mode="r+")
                output[mine] = block[name][rows]
            bar.update(len(rows))
    for name in (*info, *data):
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


def _publish(config: CollectionConfig, staging: Staging) -> dict[str, Any]:
    """Rename the dataset's parts into place, ``data`` last, and remove the games."""
    directory, provenance = Path(config.directory), _provenance(config, staging)
    shutil.rmtree(directory / "info", ignore_errors=True)  # of a run killed while publishing
    os.replace(staging.folder / "info", directory / "info")
    write_json(directory / PROVENANCE, provenance)
    os.replace(staging.folder / "data", directory / "data")
    shutil.rmtree(staging.folder)
    return provenance


def _provenance(config: CollectionConfig, staging: Staging) -> dict[str, Any]:
    return {
        "settings": config.settings,
        "games": len(staging),
        "observations": sum(staging.per_game["length"]),
        "mean_score": float(np.mean(staging.per_game["score"])),
        "players": _per_player(staging.per_game),
        "characters": sorted(set(staging.per_game["character"])),
        **({"nle": version("nle")} if config.game == "nethack" else {}),
        # NetHack reads the date: the same games come out again on the same date only.
        "dates": sorted(staging.dates),
        "sha256": array_sums(PairsDataset(staging.folder, arrays_present(staging.folder))),
    }


def _per_player(per_game: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """How each player did."""
    players = np.array(per_game["player"])
    figures = {}
    for name in dict.fromkeys(per_game["player"]):
        length, score, deepest = (
            np.array(per_game[key])[players == name] for key in ("length", "score", "deepest_level")
        )
        figures[name] = {
            "games": len(length),
            "observations": int(length.sum()),
            "mean_score": float(score.mean()),
            "median_score": float(np.median(score)),
            "mean_deepest_level": float(deepest.mean()),
        }
    return figures


def _today() -> str:
    return datetime.date.today().isoformat()


def _refuse_foreign(directory: Path) -> None:
    for name in ("info", PROVENANCE):
        if (directory / name).exists():
            raise DatasetError(
                f"{directory / name} is there without {directory / 'data'}, so this is a damaged "
                "dataset; choose another --directory, or move it away"
            )


def _check_settings(config: CollectionConfig, path: Path, way_out: str) -> None:
    """Refuse to touch what the settings in ``path`` did not make."""
    if not path.is_file():
        raise DatasetError(
            f"{config.directory} holds a dataset that this command did not make (it has no "
            f"{path.name}); {way_out}"
        )
    made_with = read_provenance(path.parent).get("settings", {})
    different = [
        f"--{name} {_flag(made_with.get(name))}, not {_flag(value)}"
        for name, value in config.settings.items()
        if made_with.get(name) != value
    ]
    if different:
        raise DatasetError(
            f"{config.directory} was collected with {'; '.join(different)}; "
            f"use the same settings, or {way_out}"
        )


def _flag(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)

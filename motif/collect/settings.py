"""The settings of stage 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from motif.cli import option
from motif.device import DeviceName
from motif.errors import ConfigError, DatasetError
from motif.games.game import CAPTION_HELP, GAME_HELP
from motif.pairs_dataset import ORIGIN

OF_PLAYING = ("game", "caption", "policy", "checkpoint", "task", "device")  # not of recorded games
# Not in a dataset's settings at the default, as in older datasets.
LATER = ("game", "caption", "device")
MOST_STEPS = 5000  # of a game, where nothing else ends it


@dataclass(frozen=True)
class CollectionConfig:
    """Settings of stage 0; all but ``directory`` decide what the dataset holds."""

    directory: str = option("motif_dataset", "folder of the dataset")
    game: str = option(ORIGIN["game"], GAME_HELP)
    caption: str = option(ORIGIN["caption"], CAPTION_HELP)
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
    device: DeviceName = option("cpu", "where --checkpoint's policies run")
    ttyrec: tuple[str, ...] = option(
        (),
        "folders of recorded games to take instead of playing: NLD-AA, NLD-NAO, a --save_dir of "
        "ours, or .ttyrec files, packed by bzip2, gzip or not",
        metavar="DIR",
    )
    task: str = option("NetHackScore-v1", "Gymnasium id of the task that is played")
    seq_len: int = option(1, "observations on each side of a pair; 1 in the release")
    max_episode_steps: int | None = option(
        None,
        "agent steps after which a game is ended (default: the task's own limit, at most 5,000, "
        "as in NetHack); with --ttyrec, frames kept of a game (default: 5,000)",
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
        if self.max_episode_steps is None and (self.ttyrec or self.game == ORIGIN["game"]):
            object.__setattr__(self, "max_episode_steps", MOST_STEPS)  # NetHack's own limit
        for mistake in self._mistakes():
            raise ConfigError(mistake)

    def _mistakes(self) -> Iterator[str]:
        for name in ("num_pairs", "seq_len", "max_episode_steps", "candidates"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                yield f"--{name} must be at least 1, got {getattr(self, name)}"
        if self.seed < 0:
            yield f"--seed must not be negative, got {self.seed}"
        longest = self.max_episode_steps or MOST_STEPS
        if self.seq_len > longest:
            limit = f"--max_episode_steps {longest}"
            yield f"--seq_len {self.seq_len} is longer than any game ({limit})"
        for name in OF_PLAYING if self.ttyrec else ():
            if getattr(self, name) != getattr(type(self), name):
                what = f"--ttyrec takes recorded games, so --{name} {shown(getattr(self, name))}"
                yield f"{what} means nothing; leave one of them out"
        if not 0 <= self.rarity_exponent <= 2:
            yield f"--rarity_exponent must be between 0 and 2, got {self.rarity_exponent}"
        if self.policy.count("checkpoint") > 1:
            yield "--policy names checkpoint twice; give --checkpoint several policies"
        if ("checkpoint" in self.policy) != bool(self.checkpoint):
            got = f"--policy {shown(self.policy)}, --checkpoint {shown(self.checkpoint) or None}"
            yield f"--policy checkpoint and --checkpoint RUN belong together: got {got}"
        if self.device != "cpu" and not self.checkpoint:
            yield f"--device {self.device} is for the policies of --checkpoint, and there are none"

    @property
    def settings(self) -> dict[str, Any]:
        """What two runs must share to work on the same dataset, as JSON has it."""
        unused = ("directory", *(OF_PLAYING if self.ttyrec else ()))
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if name not in unused and not (name in LATER and value == getattr(type(self), name))
        }

    def check(self, made_with: Mapping[str, Any], way_out: str) -> None:
        """Refuse to touch what other settings made.

        Raises:
            DatasetError: naming the settings that differ, and ``way_out``.
        """
        later = {name: getattr(type(self), name) for name in LATER}
        before = later | dict(made_with)
        different = [
            f"--{name} {shown(before.get(name))}, not {shown(value)}"
            for name, value in (later | self.settings).items()
            if before.get(name) != value
        ]
        if different:
            raise DatasetError(
                f"{self.directory} was collected with {'; '.join(different)}; "
                f"use the same settings, or {way_out}"
            )

    @property
    def candidates_per_pair(self) -> int:
        """How many sides the games must offer for each pair."""
        return 2 * (self.candidates if self.sampling == "rare" else 1)


def shown(value: Any) -> str:
    """A setting as the command line has it."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

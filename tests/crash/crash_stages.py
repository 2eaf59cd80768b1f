"""The stages of the crash campaign: their commands, and what must hold after each kill.

Work is small, so that a kill costs seconds, and cut finely, so that a run survives many.
"""

from __future__ import annotations

import bz2
import contextlib
import csv
import re
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from stub_server import StubServer

from benchmarks.synthetic_pairs import write_pairs
from motif.data_files import read_array, read_json, sha256


class Command(NamedTuple):
    """A module that is run, with its command line."""

    module: str
    arguments: list[str]


class Stage:
    """What the campaign asks of a stage; folders are where its commands run."""

    forked = True
    date_matters = False
    not_compared: ClassVar[tuple[str, ...]] = ()  # beginnings of relative paths

    def __init__(self, shared: Path) -> None:
        self.shared = shared  # input that all runs read
        self.counted: Counter[str] = Counter()

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        self.shared.mkdir(exist_ok=True)
        yield

    def begin(self, folder: Path) -> None:
        """Lay out what a run finds."""

    def commands(self, folder: Path) -> list[Command]:
        raise NotImplementedError

    def check_cut(self, folder: Path) -> None:
        """What a kill left is whole, as far as it is there."""

    def check_done(self, folder: Path) -> None:
        """Nothing of the work in progress is left."""
        unfinished = re.compile(r"\.tmp$|_temp$|\.parts$|\.collecting$")
        left = [path for path in folder.rglob("*") if unfinished.search(path.name)]
        assert not left, f"left over: {left}"

    def check_equal(self, folder: Path, reference: Path) -> None:
        """The same files with the same bytes."""
        here, there = self._files(folder), self._files(reference)
        different = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
        assert not different, f"{folder} differs from {reference} in {different}"

    def _files(self, folder: Path) -> dict[str, str]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        sums = {str(path.relative_to(folder)): sha256(path) for path in files}
        return {name: sum for name, sum in sums.items() if not name.startswith(self.not_compared)}


class Collect(Stage):
    """Byte-equal on a pinned date; the dataset appears whole."""

    date_matters = True

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        import nle.env  # noqa: F401

        import motif.games.nethack  # noqa: F401
        import scripts.collect_pairs_dataset  # noqa: F401

        with super().prepared():
            yield

    def commands(self, folder: Path) -> list[Command]:
        line = "--directory motif_dataset --num_pairs 2000 --max_episode_steps 100 --seed 5"
        return [Command("scripts.collect_pairs_dataset", line.split())]

    def check_cut(self, folder: Path) -> None:
        data = folder / "motif_dataset" / "data"
        if data.exists():
            from motif.pairs_dataset import ARRAYS, PairsDataset, check_sums

            assert len(PairsDataset(data.parent, keys=tuple(ARRAYS))) == 2000
            check_sums(data.parent)
        for game in data.parent.glob(".collecting/game-*.npz"):
            with np.load(game) as archive:
                assert all(archive[name].size for name in archive)


class Annotate(Stage):
    """Three chunks at once, by rules; byte-equal, provenance too."""

    flags = "--annotator-type rules"
    chunks, pairs = 3, 30_000

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        import scripts.annotate_pairs_dataset  # noqa: F401

        with super().prepared():
            write_pairs(self.shared / "motif_dataset", self.pairs)
            yield

    def begin(self, folder: Path) -> None:
        (folder / "motif_dataset").mkdir()
        (folder / "motif_dataset" / "data").symlink_to(self.shared / "motif_dataset" / "data")

    def commands(self, folder: Path) -> list[Command]:
        line = f"--directory motif_dataset --n-annotation-chunks {self.chunks} {self.flags}"
        return [
            Command("scripts.annotate_pairs_dataset", [*line.split(), "--chunk-number", str(chunk)])
            for chunk in range(self.chunks)
        ]

    def check_cut(self, folder: Path) -> None:
        for path in folder.glob("motif_dataset/preference/**/*.npy"):
            array = read_array(path)
            assert len(array) in (self.pairs, self.pairs // self.chunks), path
        for path in folder.glob("motif_dataset/preference/**/*.json"):
            read_json(path)


class AnnotateServer(Annotate):
    """Two chunks at once, direct answers from a server; labels and probabilities byte-equal."""

    chunks, pairs = 2, 3000
    not_compared = ("motif_dataset/preference/answers",)  # a file for each process

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        with StubServer() as server, super().prepared():
            self.flags = (
                f"--backend openai --base-url {server.url} --model stub --answer-mode direct "
                "--num-workers 8 --batch-size 64"
            )
            yield
            self.counted["requests answered"] = server.answered()


class TrainReward(Stage):
    """Byte-equal checkpoints and CSV files, on a CPU."""

    not_compared = ("runs/toy/tensorboard",)  # event files have dates

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        import torch

        import scripts.train_reward  # noqa: F401

        torch.set_num_threads(1)
        with super().prepared():
            write_pairs(self.shared / "motif_dataset", 400)
            yield

    def commands(self, folder: Path) -> list[Command]:
        line = "--dataset_dir ../shared/motif_dataset --annotator synthetic --train_dir runs "
        line += "--experiment toy --batch_size 64 --num_epochs 12 --reward_lr 1e-3 --device cpu "
        line += "--encoder_msg_model lt_cnn_small --keep_checkpoints 4"
        return [Command("scripts.train_reward", line.split())]

    def check_cut(self, folder: Path) -> None:
        from motif.reward.checkpoint import list_checkpoints, read_checkpoint

        for iteration, path in list_checkpoints(folder / "runs" / "toy").items():
            assert read_checkpoint(path)["iteration"] == iteration


BATCH, GOAL, SAVE_EVERY = 64, 1280, 128  # of the RL stages, in environment steps


class Main(Stage):
    """Steps, checkpoints and episodes go on without gap or repeat; no process outlives a kill."""

    forked = False
    flags = ""
    run = Path("runs/agent")

    def commands(self, folder: Path) -> list[Command]:
        line = "--num_workers 1 --num_envs_per_worker 2 --worker_num_splits 1 --device cpu "
        line += f"--batch_size {BATCH} --seed 7 --train_for_env_steps {GOAL} "
        line += "--keep_checkpoints 99 "
        line += f"--save_every_steps {SAVE_EVERY} --decorrelate_experience_max_seconds 0 "
        line += f"--train_dir runs --experiment agent --llm_reward 0.0 {self.flags}"
        return [Command("scripts.main", line.split())]

    def begin(self, folder: Path) -> None:
        self.kept: dict[str, str] = {}  # checkpoints so far, with their sums
        self.rows: list[list[str]] = []  # of episodes.csv, as of the last checkpoint

    def check_cut(self, folder: Path) -> None:
        from sample_factory_ext.run_folder import policy_checkpoints, read_policy_checkpoint

        run = folder / self.run
        checkpoints = policy_checkpoints(run)
        sums = {path.name: sha256(path) for path in checkpoints.values()}
        assert self.kept.items() <= sums.items(), "a checkpoint is gone or was written again"
        self.kept = sums
        reached = 0
        if checkpoints:
            content = read_policy_checkpoint(run)
            reached = content["env_steps"]
            assert reached == max(checkpoints) == BATCH * content["train_step"]
        rows = self._rows(run, reached)
        assert rows[: len(self.rows)] == self.rows, "finished games are gone"
        self.rows = rows

    @staticmethod
    def _rows(run: Path, reached: int) -> list[list[str]]:
        """Finished games that no restart may forget."""
        path = run / "episodes.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        assert all(len(row) == 10 for row in rows[:-1]), "a half row"
        return [row for row in rows if len(row) == 10 and int(row[0]) <= reached]

    def check_done(self, folder: Path) -> None:
        super().check_done(folder)
        names = [path.stem for path in (folder / self.run / "checkpoint_p0").iterdir()]
        steps = sorted(tuple(map(int, name.split("_")[1:])) for name in names)
        assert all(env_steps == BATCH * train_step for train_step, env_steps in steps), steps
        # How many there are is a matter of speed: on a busy machine the learner is asked late.
        assert len(set(steps)) == len(steps) and steps[-1][1] >= GOAL, steps
        episodes = [int(row[0]) for row in self._rows(folder / self.run, sys.maxsize)]
        assert episodes == sorted(episodes)
        self.counted["checkpoints"] += len(steps)
        self.counted["games"] += len(episodes)

    def check_equal(self, folder: Path, reference: Path) -> None:
        """Which game gets which step is a matter of the processes' speed: nothing to compare."""


class Recording(Main):
    """Recordings: none is overwritten or changed later; each is readable up to its cut."""

    forked = True
    flags = "--serial_mode True --async_rl False --use_env_info_cache True "
    flags += "--save_ttyrec_every 1 --save_dir recordings"

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        import gymnasium

        import motif.games.nethack
        import sample_factory_ext.train  # noqa: F401

        for task in motif.games.nethack.TASKS:  # so that games end
            gymnasium.registry[task].kwargs["max_episode_steps"] = 100
        with super().prepared():
            yield

    def begin(self, folder: Path) -> None:
        super().begin(folder)
        self.recorded: dict[str, str] = {}

    def check_cut(self, folder: Path) -> None:
        super().check_cut(folder)
        recordings = {str(path): path for path in folder.glob("recordings/**/*.ttyrec*.bz2")}
        sums = {name: sha256(path) for name, path in recordings.items()}
        assert self.recorded.items() <= sums.items(), "a recording is gone or was written again"
        for name in sums.keys() - self.recorded.keys():
            whole, frames = read_recording(recordings[name])
            self.counted["recordings whole" if whole else "recordings cut"] += 1
            self.counted["frames"] += frames
        self.recorded = sums


def read_recording(path: Path) -> tuple[bool, int]:
    """Whether a bz2 ttyrec has its end, and how many whole frames can be read."""
    decompressor = bz2.BZ2Decompressor()
    raw = decompressor.decompress(path.read_bytes()) if path.stat().st_size else b""
    frames = at = 0
    while at + 13 <= len(raw):
        length, channel = struct.unpack_from("<iB", raw, at + 8)
        assert length >= 0 and channel in (0, 1, 2), f"{path}: no frame at byte {at}"
        if at + 13 + length > len(raw):
            break
        frames, at = frames + 1, at + 13 + length
    return decompressor.eof, frames


STAGES: dict[str, type[Stage]] = {
    "collect": Collect,
    "annotate": Annotate,
    "annotate_server": AnnotateServer,
    "train_reward": TrainReward,
    "main": Main,
    "recording": Recording,
}

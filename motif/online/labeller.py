"""The labeller: what was met is asked about, newest first and never twice; the reward learns."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice

import numpy as np
import torch
from tqdm import tqdm

from motif.annotate.annotator import Annotator
from motif.annotate.config import AnnotationConfig
from motif.annotate.stage import make_annotator
from motif.atomic_write import write_json
from motif.cli import explain
from motif.data_files import read_json
from motif.errors import CheckpointError, ConfigError, MotifError
from motif.messages import decode, keys, printable
from motif.online.labels import SOURCE, Labels, MetPairs, Pair, rows
from motif.online.learner import Learner, check_start
from motif.online.met import remove_files, waiting_files
from motif.online.settings import OnlineSettings
from motif.preference.labels import Preference
from motif.reward.checkpoint import RANKING, load_reward_model
from motif.torch_file import read_torch_file, write_torch_file

ROUND = 128  # pairs asked about before anything else is done
PAIRS_OF_A_MESSAGE = 8  # a ranking goes on comparing what it knows, up to so many on average
MOST_WAITING = 20_000  # messages; older ones are forgotten, and come again if they matter
PERIOD = 10.0  # seconds between versions, and between snapshots
RETRY = 30.0  # seconds after a judge failed
WINDOW = 60.0  # seconds that the figures of STATUS are of
TOP = 30  # messages in a line of HISTORY, those met most often
STATUS, HISTORY, MET = "status.json", "versions.jsonl", "met.pth"


class Labeller:
    """All that happens in ``online`` of a run but for counting what is met.

    Args:
        settings: of the run.
        make: makes the judge.
        clock: seconds, from anywhere.

    Raises:
        MotifError: the folder's labels are of another kind or judge, or damaged.
    """

    def __init__(
        self,
        settings: OnlineSettings,
        make: Callable[[AnnotationConfig], Annotator] = make_annotator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.folder, self._clock = settings, settings.folder, clock
        self._make, self._annotation = make, settings.annotation
        self._annotator: Annotator | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_source()
        start = None
        if settings.reward_dir:
            start = load_reward_model(settings.reward_dir, settings.checkpoint_num)
            check_start(start, settings.kind)
        kind, seed, origin = settings.kind, settings.seed, settings.origin
        self.learner = Learner(kind, self.folder, seed=seed, start=start, origin=origin)
        self.labels = Labels(self.folder)
        self.met: dict[bytes, int] = {}  # how often; of messages that wait or were asked about
        self.waiting: dict[bytes, None] = {}  # the newest last
        self.steps = 0  # observations so far
        self._taken: dict[str, None] = {}  # files whose counts the next snapshot has
        self._read_snapshot()
        self._window: deque[tuple[float, int, int, int]] = deque()  # time, met, known, labelled
        self._published = 0  # labels that this process has made a version of
        self._trained = False  # since then
        self._due = self._again = self._clock()
        self._told = ""

    def open(self) -> None:
        """See that the judge can answer, before anything is trained.

        Raises:
            MotifError: it can't.
        """
        self._judge().open()
        if self._annotation.backend == "openai":  # later, training does not wait for a server
            self._drop_judge()
            patience = min(self._annotation.server_patience, RETRY)
            self._annotation = replace(self._annotation, server_patience=patience)

    def close(self) -> None:
        """Keep what is not on disk yet, and free the judge."""
        with self._explained():
            self._write()
        self._drop_judge()

    def step(self) -> bool:
        """Do what there is to do; whether there was anything."""
        busy = self._keep_up()
        if self._clock() >= self._again:
            with self._explained():
                busy = self._ask() or busy
        return busy

    def figures(self) -> dict[str, float]:
        """For the progress line and TensorBoard: all labels, and what the last minute was like."""
        now = self._clock()
        while self._window and self._window[0][0] < now - WINDOW:
            self._window.popleft()
        _, met, known, labelled = map(sum, zip(*self._window)) if self._window else (0,) * 4
        return {
            "labels": self.labels.count,
            "labels_per_second": labelled / WINDOW,
            "backlog": len(self.waiting),
            "labelled_share": known / met if met else 0.0,
            "reward_version": self.learner.version,
        }

    def _judge(self) -> Annotator:
        if self._annotator is None:
            self._annotator = self._make(self._annotation)
            self._annotator.keep_open = True
            if "message" not in self._annotator.keys or len(self._annotator.keys) > 1:
                raise ConfigError(
                    f"--annotator-type {self._annotation.annotator_type} reads "
                    f"{', '.join(self._annotator.keys)}; --online has messages alone"
                )
        return self._annotator

    def _drop_judge(self) -> None:
        if self._annotator is not None:
            annotator, self._annotator = self._annotator, None
            annotator.close()

    def _check_source(self) -> None:
        """Refuse a folder whose labels depend on something else."""
        path = self.folder / SOURCE
        source = {"online": self.settings.kind, "judge": dict(self._judge().source)}
        source |= {"of": self.settings.origin}
        if path.is_file():
            before = read_json(path, error=CheckpointError, way_out="restore it")
            if before != json.loads(json.dumps(source)):
                raise CheckpointError(
                    f"{self.folder} holds labels for --online {before.get('online')} by another "
                    "kind, judge, prompt or sampling than this one's; go on with the flags of its "
                    "run, or start afresh with another --experiment"
                )
        else:
            write_json(path, source)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong within is said, once, and tried again later: the run goes on."""
        try:
            yield
        except (MotifError, OSError) as error:
            with contextlib.suppress(MotifError, OSError):
                self._drop_judge()
            self._again = self._clock() + RETRY
            why = explain(error) if isinstance(error, OSError) else str(error)
            if why != self._told:
                self._tell(f"no labels for now: {why}; training goes on with what is learnt so far")
            self._told = why

    def _tell(self, what: str) -> None:
        tqdm.write(printable(f"note: reward version {self.learner.version}: {what}"), sys.stderr)

    def _keep_up(self) -> bool:
        """Take in what was met, learn, and write what is due; whether there was anything to do."""
        busy = self._take_in()
        if self.learner.learn(self.labels):
            busy = self._trained = True
        first = self.labels.known and not self.learner.version
        if first or self._clock() >= self._due:
            self._due = self._clock() + PERIOD
            with self._explained():
                self._write()
        return busy

    def _take_in(self) -> bool:
        """Count what the environments have met since; whether they had left anything."""
        before = len(self._taken)
        for path, records in waiting_files(self.folder, self._taken):
            known = 0
            for message, count in records.tolist():
                self.met[message] = self.met.get(message, 0) + count
                if message not in self.labels.messages:
                    self.waiting.pop(message, None)
                    self.waiting[message] = None
                known += count * (message in self.labels.known)
            met = int(records["count"].sum())
            self.steps += met
            self._window.append((self._clock(), met, known, 0))
            self._taken[path.name] = None
            for oldest in list(islice(self.waiting, max(len(self.waiting) - MOST_WAITING, 0))):
                del self.waiting[oldest], self.met[oldest]
        return len(self._taken) > before

    def _ask(self) -> bool:
        """Ask about some pairs; whether there were any."""
        pairs = self._next_pairs()
        if not pairs:
            return False
        for answers in self._judge().annotate(MetPairs(pairs), np.arange(len(pairs))):
            answered = [pairs[index] for index in answers.indices.tolist()]
            self.labels.add(answered, answers.labels.tolist())
            for side in chain.from_iterable(answered):
                self.waiting.pop(side, None)
            known = int((answers.labels != Preference.UNKNOWN).sum())
            self._window.append((self._clock(), 0, 0, known))
            self._keep_up()
        if self._told:
            self._tell("there are labels again")
            self._told = ""
        return True

    def _next_pairs(self) -> list[Pair]:
        """The newest messages; where all were asked about, more pairs of a ranking's."""
        labels, known = self.labels, list(self.labels.known)
        room = min(ROUND, self.settings.most_labels - len(labels))
        newest = list(islice(reversed(self.waiting), max(room, 0)))
        if self.settings.kind != RANKING:
            return [(message, b"") for message in newest]
        rng = np.random.default_rng([self.settings.seed, len(labels)])
        others, weights = known if len(known) > 1 else newest, None
        if newest:  # against what is met most, which then has its place among all others
            weights = np.array([self.met.get(message, 0) + 1.0 for message in others])
            weights /= weights.sum()
        else:
            room = min(room, PAIRS_OF_A_MESSAGE * len(known) - len(labels))
            newest = [known[row] for row in rng.integers(len(known), size=max(room, 0))]
        drawn = [others[row] for row in rng.choice(len(others), len(newest), p=weights)]
        different = {frozenset(pair): pair for pair in zip(newest, drawn) if pair[0] != pair[1]}
        pairs = [different[pair] for pair in different.keys() - self.labels.asked]
        swapped = (rng.random(len(pairs)) < 0.5).tolist()  # a judge may favour one side
        return [pair[::-1] if swap else pair for pair, swap in zip(pairs, swapped)]

    def _write(self) -> None:
        """A new version, if there is something new; what was met; the figures."""
        if self.labels.known and (self._trained or len(self.labels) != self._published):
            paid = self.learner.publish(self.labels, self.met)
            self._trained, self._published = False, len(self.labels)
            top = sorted(paid, key=lambda message: -self.met.get(message, 0))[:TOP]
            shown = {decode(message): round(paid[message], 4) for message in top}
            line = {**self.figures(), "steps": self.steps, "messages": shown}
            with (self.folder / HISTORY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        if self._taken:
            self._write_snapshot()
        write_json(self.folder / STATUS, self.figures())

    def _write_snapshot(self) -> None:
        """What was met and what waits; the files that it was counted from may then go."""
        names = [*(name for name in self.met if name not in self.waiting), *self.waiting]
        content = {
            "messages": torch.from_numpy(rows(names, (len(names),))[:, 0]),
            "counts": torch.tensor([self.met[name] for name in names], dtype=torch.int64),
            "waiting": len(self.waiting),
            "steps": self.steps,
            "taken": list(self._taken),
        }
        write_torch_file(self.folder / MET, content)
        remove_files(self.folder, self._taken)
        self._taken.clear()

    def _read_snapshot(self) -> None:
        path = self.folder / MET
        if not path.is_file():
            return
        content = read_torch_file(path, error=CheckpointError, way_out="delete it: counts are lost")
        names = keys(content["messages"].numpy())
        self.met = dict(zip(names, content["counts"].tolist()))
        waiting = names[len(names) - content["waiting"] :]
        self.waiting = {name: None for name in waiting if name not in self.labels.messages}
        self.steps = content["steps"]
        remove_files(self.folder, content["taken"])

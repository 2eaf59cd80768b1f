"""Fixtures for labels made while training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motif.annotate.annotator import Annotator, Answers
from motif.annotate.config import AnnotationConfig
from motif.messages import decode, encode
from motif.online.labeller import Labeller
from motif.online.met import MetMessages
from motif.online.settings import OnlineSettings
from motif.preference.labels import prefer_larger

sys.path.append(str(Path(__file__).resolve().parents[1] / "annotate"))  # its fake server


class Longer(Annotator):
    """Prefers what says more, and remembers what it was asked; nothing is known of ``?``."""

    keys = ("message",)
    trouble: Exception | None = None

    def __init__(self) -> None:
        self.source = {"type": "longer"}
        self.asked: list[tuple[str, str]] = []
        self.closed = 0

    def annotate(self, pairs: Any, indices: Any) -> Iterator[Answers]:
        if self.trouble:
            raise self.trouble
        for half in np.array_split(indices, 2):
            sides = [tuple(decode(side[0]) for side in pairs.messages[i]) for i in half]
            self.asked += sides
            lengths = np.array([[len(side) for side in pair] for pair in sides]).reshape(-1, 2)
            labels = prefer_larger(lengths)
            labels[["?" in first + second for first, second in sides]] = 3
            yield Answers(half, labels)

    def close(self) -> None:
        self.closed += 1


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def judge() -> Longer:
    return Longer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "online"


@pytest.fixture
def make_labeller(folder: Path, judge: Longer, clock: Clock) -> Callable[..., Labeller]:
    """``make_labeller(kind, …)``: one that asks ``judge``, begun anew with each call."""

    def make(kind: str = "retrieval", **settings: Any) -> Labeller:
        values = {"most_labels": 1000, "seed": 7, **settings}
        annotation = AnnotationConfig(annotator_type="rules", directory=folder / "dataset")
        chosen = OnlineSettings(kind, folder, annotation, **values)
        return Labeller(chosen, make=lambda config: judge, clock=clock)

    return make


@pytest.fixture
def meet(folder: Path) -> Callable[..., None]:
    """``meet(*texts)``: an environment's process meets them, and hands its counts on."""

    def hand_on(*texts: str) -> None:
        counts = MetMessages(folder, every=len(texts))
        for text in texts:
            counts.count(encode(text).tobytes())

    return hand_on

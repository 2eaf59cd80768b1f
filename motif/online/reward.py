"""What the environments of a run are paid while its reward is still being learnt."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from motif.intrinsic.terms import LearntReward
from motif.online.met import MetMessages
from motif.reward.checkpoint import list_checkpoints

Rewards = tuple[Mapping[bytes, float], float]  # of each message, and the threshold


class Versions:
    """The versions of a run's reward, each read once for all environments of a process.

    Args:
        folder: where they are: ``online/reward`` of the run.
        load: reads one, by its number.
        first: what is paid before there is any.
    """

    def __init__(self, folder: Path, load: Callable[[int], Rewards], first: Rewards) -> None:
        self._folder, self._load = folder, load
        self.number, self._rewards = 0, first

    def newest(self) -> Rewards:
        """The last one that was published."""
        number = max(list_checkpoints(self._folder), default=0)
        if number > self.number:
            with contextlib.suppress(FileNotFoundError):  # an even newer one took its place
                self._rewards = self._load(number)
                self.number = number
        return self._rewards


class OnlineReward(LearntReward):
    """Motif's term, with the newest version of the reward as an episode begins, until it ends.

    Args:
        met: counts what is met, for the labeller.
    """

    def __init__(self, versions: Versions, met: MetMessages, *, count_exponent: float) -> None:
        super().__init__({}, count_exponent=count_exponent)
        self._versions, self._met = versions, met

    def reset(self) -> None:
        """An episode begins."""
        super().reset()
        self.rewards, self._threshold = self._versions.newest()

    def observe(self, message: bytes, observation: Any) -> float:
        """What this observation pays."""
        self._met.count(message)
        return super().observe(message, observation)

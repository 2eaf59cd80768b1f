"""What a message is worth, and how that fades: the terms of the intrinsic reward.

A term is one object for each environment, called with every observation before the action.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Protocol

import numpy as np

from motif.extensions import make_extension
from motif.types import AnyArray, MessageArray

MEMO_LIMIT = 200_000  # messages; a process meets some tens of thousands in its lifetime


class RewardTerm(Protocol):
    """The extension point for another intrinsic reward."""

    def reset(self) -> None:
        """An episode begins."""

    def observe(self, message: bytes, observation: Any) -> float:
        """What this observation pays, with the step that follows it.

        Args:
            message: its 256 bytes.
        """


def shape_intrinsic_reward(
    reward: float, count: int, *, threshold: float, count_exponent: float
) -> float:
    """``1[reward > threshold] * reward / count ** count_exponent`` (paper, equation 2 and below).

    Args:
        reward: normalised reward of the message.
        count: how often it was seen in this episode, this time included (at least 1).
    """
    return reward / count**count_exponent if reward > threshold else 0.0


class MessageRewards(dict[bytes, float]):
    """The reward of a message of 256 bytes: ``rewards[message]``, computed once a process.

    The reward is a pure function of the message's bytes and few messages are new (about 1 % of
    steps), so the dictionary nearly always has the answer.

    Args:
        score: rewards (U,) of messages (U, 256) uint8; what a trained reward model computes.
        known: messages (U, 256) and their rewards (U,), those of the training set say.
        limit: further messages kept; beyond it they are scored each time.
    """

    def __init__(
        self,
        score: Callable[[MessageArray], AnyArray],
        known: tuple[MessageArray, AnyArray] | None = None,
        limit: int = MEMO_LIMIT,
    ) -> None:
        super().__init__()
        self._score = score
        if known is not None:
            messages, rewards = known
            self.update(zip((row.tobytes() for row in messages), rewards.tolist()))
        self._limit = limit + len(self)

    def fill(self, messages: Iterable[bytes]) -> None:
        """Score those of ``messages`` that are new in one call, cheaper than one by one."""
        missing = dict.fromkeys(message for message in messages if message not in self)
        new = list(islice(missing, self._limit - len(self)))
        if new:
            rows = np.frombuffer(b"".join(new), np.uint8).reshape(len(new), -1)
            self.update(zip(new, self._score(rows).tolist()))

    def __missing__(self, message: bytes) -> float:
        reward = float(self._score(np.frombuffer(message, np.uint8)[None])[0])
        if len(self) < self._limit:
            self[message] = reward
        return reward


class LearntReward:
    """Motif's term: the reward model's, above a threshold, fading with each repetition.

    Args:
        rewards: normalised reward of each message.
        threshold: messages at or below it are worth nothing.
        count_exponent: how fast a message fades within an episode.
    """

    def __init__(
        self,
        rewards: Mapping[bytes, float],
        *,
        threshold: float = float("-inf"),
        count_exponent: float = 3.0,
    ) -> None:
        self.rewards, self._threshold, self._exponent = rewards, threshold, count_exponent
        self._counts: dict[bytes, int] = {}

    def reset(self) -> None:
        """An episode begins."""
        self._counts = {}

    def observe(self, message: bytes, observation: Any) -> float:
        """What this observation pays."""
        count = self._counts[message] = self._counts.get(message, 0) + 1
        return shape_intrinsic_reward(
            self.rewards[message],
            count,
            threshold=self._threshold,
            count_exponent=self._exponent,
        )


class MessageCounts:
    """The control: every message is worth 1 at first sight, and fades alike."""

    def __init__(self, *, count_exponent: float = 3.0) -> None:
        self._exponent = count_exponent
        self._counts: dict[bytes, int] = {}

    def reset(self) -> None:
        """An episode begins."""
        self._counts = {}

    def observe(self, message: bytes, observation: Any) -> float:
        """What this observation pays."""
        count = self._counts[message] = self._counts.get(message, 0) + 1
        return float(count**-self._exponent)


BONUSES = {"counts": "motif.intrinsic.terms:MessageCounts"}
TRAINED = ("rnd", "noveld", "e3b")  # motif.intrinsic.exploration; the learner pays them


def make_bonus(name: str, count_exponent: float) -> RewardTerm | None:
    """The term of ``--bonus``: one of :data:`BONUSES`, or ``module:Term`` of the user's own.

    None where the environment pays none: without a name, and for one of :data:`TRAINED`.

    Raises:
        ConfigError: there is no such term, or it can't be imported.
    """
    if not name or name in TRAINED:
        return None
    arguments = {"count_exponent": count_exponent} if name in BONUSES else {}
    shipped = {**BONUSES, **dict.fromkeys(TRAINED, "")}
    term: RewardTerm = make_extension("--bonus", name, shipped, **arguments)
    return term

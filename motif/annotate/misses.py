"""When a model's refusals and undecided answers are too many to go on."""

from __future__ import annotations

from collections.abc import Callable

from motif.annotate.chat import ModelError
from motif.annotate.refusals import explain_refusal

MOST_REFUSED = 32  # prompts in a row; then it is not about these prompts
MOST_UNDECIDED = 64  # answers; if there is no decision by then, none will come


class Misses:
    """Counts a run's answers that are none."""

    def __init__(self) -> None:
        self._refused = self._decided = self._undecided = 0
        self.refusal = ""  # the last reason

    def room(self, window: int) -> int:
        """How many prompts may be under way: few, until one answer was understood."""
        return window if self._decided else min(window, MOST_UNDECIDED - self._undecided)

    def refused(self, reason: str) -> None:
        """Take in whether a prompt was refused, and why.

        Raises:
            ModelError: too many were, one after the other.
        """
        self._refused = self._refused + 1 if reason else 0
        self.refusal = reason or self.refusal
        if self._refused == MOST_REFUSED:
            raise ModelError(explain_refusal(reason))

    def decided(self, decision: bool, problem: Callable[[], str]) -> None:
        """Take in whether an answer holds a decision.

        Raises:
            ModelError: none of the first answers does; ``problem`` says what they do instead.
        """
        self._decided += decision
        self._undecided += not decision
        if self._undecided == MOST_UNDECIDED and not self._decided:
            raise ModelError(f"none of the first {MOST_UNDECIDED} answers {problem()}")

"""``--caption``: what is judged, rewarded and read of a step, beside its message.

``message`` is the paper's: the message alone. ``change`` is the message before, the message, and in
words what changed of the game's status (as in MaestroMotif). ``history:K`` is the last K messages,
a line each. A caption has 256 bytes, as a message has, and takes its place in observations; of a
longer text the *beginning* is left out, which is the oldest.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from motif.errors import ConfigError
from motif.games.game import GameAdapter
from motif.messages import MESSAGE_LENGTH, decode, encode, group_repeats
from motif.types import AnyArray, StepResult

Status = Mapping[str, int | str]


def steps_told(kind: str) -> int:
    """How many messages a caption of this kind tells of.

    Raises:
        ConfigError: there is no such kind.
    """
    history = re.fullmatch(r"history:(\d{1,3})", kind)
    steps = {"message": 1, "change": 2}.get(kind, int(history[1]) if history else 0)
    if not steps:
        raise ConfigError(f"--caption {kind}: there are message, change and history:K, K 1 to 999")
    return steps


def tell_history(texts: Sequence[str]) -> str:
    """The messages that say something, oldest first, equal ones in a row as one."""
    groups = group_repeats(texts)
    return "\n".join(f"{text} (x{n})" if n > 1 else text for text, n, _ in groups if text)


def tell_change(texts: Sequence[str], before: Status, now: Status) -> str:
    """One or two messages, and what changed of the status."""
    changes = ", ".join(
        _difference(name, before[name], value)
        for name, value in now.items()
        if name in before and before[name] != value
    )
    return " -> ".join(filter(None, texts)) + (f" ({changes})" if changes else "")


def _difference(name: str, before: int | str, now: int | str) -> str:
    if isinstance(before, str) or isinstance(now, str):
        return f"{name}: {now}"
    number = abs(now - before)
    unit = name.removesuffix("s") if number == 1 else name
    return f"{number} {unit} {'gained' if now > before else 'lost'}"


class Captions(gymnasium.Wrapper[Any, Any, Any, Any]):
    """``message`` in observations is the caption; ``raw_message`` is what the game said.

    Args:
        kind: as ``--caption`` has it, but for ``message``, which needs no wrapper.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], game: GameAdapter, kind: str) -> None:
        super().__init__(env)
        self._game, self._tells_change = game, kind == "change"
        self._texts: deque[str] = deque(maxlen=steps_told(kind))
        self._status: Status = {}

    def reset(self, **kwargs: Any) -> tuple[dict[str, AnyArray], dict[str, Any]]:
        """Begin an episode, with nothing before it."""
        observation, info = self.env.reset(**kwargs)
        self._texts.clear()
        self._status = {}
        return self._told(observation), info

    def step(self, action: int) -> StepResult:
        """One step."""
        return self.after(self.env.step(action))

    def after(self, result: StepResult) -> StepResult:
        """What the step returns, of what the environment's did."""
        observation, *rest = result
        return self._told(observation), *rest  # type: ignore[return-value]

    def _told(self, observation: dict[str, AnyArray]) -> dict[str, AnyArray]:
        raw = self._game.message(observation)
        self._texts.append(decode(raw))
        if self._tells_change:
            before, self._status = self._status, dict(self._game.status(observation))
            text = tell_change(tuple(self._texts), before, self._status)
        else:
            text = tell_history(tuple(self._texts))
        said = np.frombuffer(raw, np.uint8)
        return {**observation, "message": encode(text[-MESSAGE_LENGTH:]), "raw_message": said}

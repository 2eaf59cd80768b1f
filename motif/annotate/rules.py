"""An annotator that needs no language model: hand-written message patterns with a value a goal."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from motif.annotate.annotator import Annotator, Answers
from motif.data_files import sha256
from motif.errors import ConfigError
from motif.games.game import find_game
from motif.messages import decode, keys
from motif.pairs_dataset import PairsDataset
from motif.preference.labels import prefer_larger
from motif.types import AnyArray, IndexArray, MessageArray

PAIRS_AT_ONCE = 4096
LARGEST = sys.float_info.max  # an integer may be beyond any float


@dataclass(frozen=True)
class Rule:
    """What a message is worth, for one goal, if ``pattern`` occurs in it."""

    pattern: re.Pattern[str]
    value: float


class RulesAnnotator(Annotator):
    """Prefers the side whose messages are worth more: ``rules_msg_<goal>``.

    Args:
        goal: one of the file's goals.
        rules_file: a user's own patterns; ``motif/games/nethack/rules.yaml`` tells the format.

    Raises:
        ConfigError: no such goal, or the file cannot be read or has a mistake.
    """

    keys = ("message",)

    def __init__(self, goal: str, rules_file: Path | None = None) -> None:
        path = rules_file or find_game("nethack").rules
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the rules file {path}: {error}") from None
        self.rules = load_rules(text, goal, path)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.source = {"type": "rules", "goal": goal, "rules_sha256": digest}
        self._values: dict[bytes, float] = {}  # of the distinct messages so far

    def annotate(self, pairs: PairsDataset, indices: IndexArray) -> Iterator[Answers]:
        """Label the pairs in blocks of :data:`PAIRS_AT_ONCE`."""
        for start in range(0, len(indices), PAIRS_AT_ONCE):
            block = indices[start : start + PAIRS_AT_ONCE]
            yield Answers(block, prefer_larger(self.values(pairs.messages[block]).mean(axis=2)))

    def values(self, messages: MessageArray) -> AnyArray:
        """What each message of (..., 256) is worth; each distinct one is evaluated once."""
        rows = keys(messages)
        for key in set(rows).difference(self._values):
            self._values[key] = self.value(decode(key))
        return np.array([self._values[key] for key in rows]).reshape(messages.shape[:-1])

    def value(self, text: str) -> float:
        """The sum of the rules whose pattern occurs in ``text``."""
        return float(sum(rule.value for rule in self.rules if rule.pattern.search(text)))


def worth_by_rules(
    source: Mapping[str, Any], path: Path
) -> Callable[[MessageArray], AnyArray] | None:
    """What messages are worth by the rules of ``path``; None if ``source`` is not of them."""
    if source.get("type") != "rules" or sha256(path) != source.get("rules_sha256"):
        return None
    return RulesAnnotator(source["goal"], path).values


def load_rules(text: str, goal: str, path: Path) -> list[Rule]:
    """The rules of ``text``, the content of ``path``, for one goal.

    Raises:
        ConfigError: naming the entry that is wrong, or the goals there are.
    """
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # two are the parser's own
        raise ConfigError(f"{path} is not YAML: {error}") from None
    match content:
        case {"goals": [*goals], "rules": [*entries], **others} if entries and not others:
            pass
        case _:
            raise ConfigError(f"{path} must have the two keys goals and rules, each a list")
    if goal not in goals:
        known = ", ".join(map(str, goals))
        raise ConfigError(f"unknown --goal_key {goal!r}; {path} has: {known}")
    numbered = enumerate(entries, start=1)
    return [_rule(entry, goal, goals, f"{path}, rule {number}") for number, entry in numbered]


def _rule(entry: Any, goal: str, goals: list[Any], where: str) -> Rule:
    match entry:
        case {"pattern": pattern, "values": values, **others}:
            example = others.pop("example", None)
        case _:
            raise ConfigError(f"{where}: needs a pattern and values, got {entry!r}")
    if others:
        raise ConfigError(f"{where}: unknown key {min(map(str, others))!r}")
    try:
        compiled = re.compile(str(pattern), re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: bad pattern {pattern!r}: {error}") from None
    if example is not None and not compiled.search(str(example)):
        raise ConfigError(f"{where}: {pattern!r} does not match its example {example!r}")
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: values must map goals to numbers, got {values!r}")
    for name, value in values.items():
        if name not in [*goals, "all"]:
            raise ConfigError(f"{where}: unknown goal {name!r}; the file's goals: {goals}")
        if not (type(value) in (int, float) and abs(value) <= LARGEST):
            raise ConfigError(f"{where}: the value of {name} must be a number, got {value!r}")
    return Rule(compiled, float(values.get(goal, values.get("all", 0))))

"""A test for judges: pairs of messages with an answer that no player disputes."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from motif.errors import ConfigError
from motif.messages import encode
from motif.types import AnyArray, MessageArray

JUDGED = 200  # pairs that are asked about


@dataclass(frozen=True)
class JudgedPair:
    """Two messages, the better one first, and the kinds that they are of."""

    better: str
    worse: str
    kinds: tuple[str, str]


def draw_judged_pairs(path: Path, goal: str, number: int, seed: int = 0) -> list[JudgedPair]:
    """``number`` different pairs for ``goal``, kinds and messages as evenly as they go.

    ``motif/games/nethack/judges.yaml`` tells the file's format.

    Raises:
        ConfigError: the file is no such file, has no such goal, or not as many pairs.
    """
    messages, goals = _read(path)
    lines = goals.get(goal)
    lines = goals.get(lines) if isinstance(lines, str) else lines
    if not isinstance(lines, list):
        raise ConfigError(f"no goal {goal!r} in {path}; there are: {', '.join(goals)}")
    couples: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for line in lines:
        match line:
            case {"better": [*better], "worse": [*worse], **others} if not others:
                for couple in product(better, worse):
                    if unknown := set(couple) - set(messages):
                        raise ConfigError(f"{path}, goal {goal}: no messages of kind {unknown}")
                    couples[couple] = list(product(messages[couple[0]], messages[couple[1]]))
            case _:
                raise ConfigError(f"{path}, goal {goal}: needs better and worse, got {line!r}")
    if number > sum(map(len, couples.values())):
        there = f"{path} has {sum(map(len, couples.values()))} for {goal}"
        raise ConfigError(f"--pairs {number} are more than there are: {there}")
    rng, used, drawn = random.Random(seed), Counter[Any](), []

    def least_used(couple: tuple[str, str]) -> tuple[float, ...]:
        return used[couple[0]] + used[couple[1]], used[couple], rng.random()

    for _ in range(number):
        kinds = min(filter(couples.get, couples), key=least_used)
        sides = min(couples[kinds], key=least_used)
        couples[kinds].remove(sides)
        used.update([kinds, *kinds, *sides])
        drawn.append(JudgedPair(*sides, kinds))
    return drawn


def judged_accuracy(
    score: Callable[[MessageArray], AnyArray], path: Path | None, goal: str | None
) -> dict[str, Any]:
    """How ``score``, of messages (N, 256) to (N,), orders the pairs; none without file or goal."""
    if path is None or goal is None:
        return {"judged_pairs": 0, "judged_accuracy": None}
    pairs = draw_judged_pairs(path, goal, JUDGED)
    sides = zip(*((pair.better, pair.worse) for pair in pairs))
    better, worse = (score(np.stack([encode(text) for text in texts])) for texts in sides)
    right = (better > worse) + 0.5 * (better == worse)
    return {"judged_pairs": len(pairs), "judged_accuracy": float(right.mean())}


def _read(path: Path) -> tuple[dict[str, list[str]], Mapping[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the file of judged pairs {path}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    match content:
        case {"messages": {**kinds}, "goals": {**goals}, **others} if not others:
            return {str(kind): _spelt_out(path, kind, texts) for kind, texts in kinds.items()}, {
                str(goal): lines for goal, lines in goals.items()
            }
    raise ConfigError(f"{path} must have the two keys messages and goals, each a mapping")


def _spelt_out(path: Path, kind: Any, texts: Any) -> list[str]:
    """Each text with each choice of its ``{a|b}``."""
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{path}: the messages of {kind!r} must be a list of texts")
    parts = [re.split(r"\{(.*?)\}", text) for text in texts]  # every second one is a choice
    return [
        "".join(chosen)
        for split in parts
        for chosen in product(*(p.split("|") if i % 2 else [p] for i, p in enumerate(split)))
    ]

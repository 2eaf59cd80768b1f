"""From what a model wrote, or from the probabilities of its next token, to a preference."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from motif.annotate.prompt import Prompt
from motif.preference.labels import Preference
from motif.types import AnyArray

WORDS = {
    "1": Preference.FIRST,
    "2": Preference.SECOND,
    "none": Preference.TIE,
    "null": Preference.TIE,
    "neither": Preference.TIE,
}
FILLERS = {
    *("the", "my", "final", "best", "is"),
    *("answer", "choice", "decision", "description", "message"),
}

_AFTER = r"(?!\w)(?!\.\d)"  # "12", "1.5", "1st" and "nonetheless" are no answers
_ALTERNATIVE = re.compile(r"[\s\"'`*_)\]}]*(?:/|\||,|\bor\b)[\s\"'`*_(\[{]*(?:1|2|none)\b", re.I)
_CONNECTIVE = re.compile(r"[^\n.!?]{0,80}?(?:,|;|/|\||\bor\b|\band\b)[^\n.!?]{0,20}", re.I)
_CONTEXT = 12  # characters on both sides of an answer that tell an echo of the prompt


class AnswerParser:
    """Finds the decision in a model's text.

    The last explicit decision counts, for models change their minds as they reason. Passed over are
    echoes of the instructions, lists of the possible answers, and longer numbers.

    Differs from the release, which takes the first match of a looser pattern, and so an echoed
    instruction as answer 1 and "12" as 2.
    """

    def __init__(self, prompt: Prompt) -> None:
        self._pattern = re.compile(rf"(?:{prompt.answer_pattern}){_AFTER}", re.I)
        self._instructions = _squeeze(f"{prompt.system} {prompt.template} {prompt.retry}")

    def __call__(self, text: str) -> Preference | None:
        """The preference that ``text`` states; None if there is none to be found."""
        words = re.findall(r"[^\W\d_]+|\d+", text[:200].lower())
        telling = [word for word in words if word not in FILLERS]
        if len(text) <= 200 and len(telling) == 1 and telling[0] in WORDS:
            return WORDS[telling[0]]
        matches = list(self._pattern.finditer(text))
        listed = _listed(text, matches)
        for match, in_list in reversed(list(zip(matches, listed))):
            if not in_list and not self._is_echo(text, match):
                return WORDS.get(str(match[1]).lower())
        return None

    def _is_echo(self, text: str, match: re.Match[str]) -> bool:
        around = text[max(match.start() - _CONTEXT, 0) : match.end() + _CONTEXT]
        before = text[: match.start()].strip()
        after = text[match.end() :].strip(" \t\n)]}\"'`*.")
        return bool(before and after) and _squeeze(around) in self._instructions


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _listed(text: str, matches: Sequence[re.Match[str]]) -> list[bool]:
    """Which matches only name possibilities: "1/2/None", or "(…: 1), (…: 2) or (…: None)"."""
    listed = [_ALTERNATIVE.match(text, match.end()) is not None for match in matches]
    for place, (here, following) in enumerate(pairwise(matches)):
        between = text[here.end() : following.start()]
        differ = str(here[1]).lower() != str(following[1]).lower()
        if differ and _CONNECTIVE.fullmatch(between):
            listed[place] = listed[place + 1] = True
    return listed


def answer_masses(first_token: Sequence[tuple[str, float]]) -> AnyArray:
    """Probability of the answers 1, 2 and None (3,), from a token's candidates.

    A candidate counts for an answer if it begins with it, or for None if it begins that word.
    """
    masses = np.zeros(3)
    for text, log_probability in first_token:
        word = text.strip().lower()
        match = re.match(rf"(1|2|none){_AFTER}", word)
        if match:
            masses[WORDS[match[1]]] += math.exp(log_probability)
        elif word and "none".startswith(word):
            masses[Preference.TIE] += math.exp(log_probability)
    return masses


def combine_orders(masses: AnyArray, swapped_masses: AnyArray) -> tuple[AnyArray, float]:
    """Probabilities (3,) of first, second, tie, averaged over both orders, and the covered mass.

    Each order is renormalised by itself; the mass is the mean of both. With no mass at all in one
    order the probabilities are NaN and the mass is 0.
    """
    both = np.stack([masses, swapped_masses[[1, 0, 2]]])
    covered = both.sum(axis=1)
    if not covered.all():
        return np.full(3, np.nan), 0.0
    return (both / covered[:, None]).mean(axis=0), float(covered.mean())


def label_probabilities(
    probabilities: AnyArray, mass: float, *, tie_margin: float, min_mass: float
) -> Preference:
    """The label that probabilities (3,) of first, second, tie stand for."""
    if not mass or mass < min_mass or not np.isfinite(probabilities).all():
        return Preference.UNKNOWN
    first, second, tie = probabilities
    if tie >= max(first, second) or abs(first - second) < tie_margin:
        return Preference.TIE
    return Preference.FIRST if first > second else Preference.SECOND

"""From what a model wrote, or from the probabilities of its next token, to a preference."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from motif.annotate.final_text import final_text, plain
from motif.annotate.prompt import Prompt, answer_ends
from motif.preference.labels import Preference
from motif.types import AnyArray

WORDS = {
    **dict.fromkeys(("1", "first"), Preference.FIRST),
    **dict.fromkeys(("2", "second"), Preference.SECOND),
    **dict.fromkeys(("none", "null", "neither", "both", "tie", "equal", "draw"), Preference.TIE),
    **dict.fromkeys(("same", "n/a"), Preference.TIE),
}
FILLERS = {
    *("the", "my", "final", "best", "is", "are", "it", "s", "a", "an", "one", "i", "d", "would"),
    *("answer", "choice", "decision", "description", "message", "option", "verdict", "better"),
    *("choose", "pick", "prefer", "select", "say"),
}
DECIDING_KEYS = {
    *("answer", "best", "choice", "decision", "final", "finalanswer", "preference", "preferred"),
    *("result", "verdict", "winner"),
}
MOST_OBJECTS = 100  # JSON objects that are looked for in one text, from its end
LONGEST_BARE = 200  # characters

_AFTER = r"(?!\w)(?!\.\d)"  # "12", "1.5", "1st" and "nonetheless" are no answers
_IN_WORDS = (
    r"(?:first|second|both|tie|equal|draw|same|n/a)"
    r"(?=\s*(?:one|description|message)?\s*(?:[\"'`*_)\]}.,;!]|$))"
)
_ALTERNATIVE = re.compile(
    r"[\s\"'`*_)\]}]*(?:/|\||,|\bor\b)[\s\"'`*_(\[{]*(?:1|2|none|first|second|both|neither)\b", re.I
)
_CONNECTIVE = re.compile(r"[^\n.!?]{0,80}?(?:,|;|/|\||\bor\b|\band\b)[^\n.!?]{0,20}", re.I)
_CONTEXT = 12  # characters on both sides of an answer that tell an echo of the prompt
_SIDE = r"\s+(?:the\s+)?(?:(?:description|message|number|option)\s+)?(?:1|2|first|second)\b"
_REASONS = re.compile(  # what follows a bare decision
    rf"\b(?:rather than|instead of|as opposed to|than|because|since)\b|\b(?:not|over){_SIDE}", re.I
)
_HOWEVER = re.compile(r"\b(?:but|however|although|though|yet)\b", re.I)
_MENTION = re.compile(  # what comes before another side that is only mentioned
    r"\b(?:rather than|instead of|as opposed to|not|over|than|versus|vs|unlike)\W*(?:the\W+)?$",
    re.I,
)
_HYPOTHETICAL = re.compile(r"\b(?:would|could|might)\s+(?:be|have been)\b[^\n.!?]*$", re.I)
_FRAMED = re.compile(
    r"\\boxed\s*\{((?:[^{}]|\\\w+\{[^{}]*\})*)\}|<answer>([^<]{0,200})</answer>",
    re.I,
)
_JSON = json.JSONDecoder(strict=False)


class AnswerParser:
    """Finds the decision in a model's text.

    The last explicit decision counts, for models change their minds as they reason. Passed over are
    thoughts, echoes of the instructions, lists of the possible answers, longer numbers, and a side
    that is only mentioned ("1, rather than 2").

    Differs from the release, which takes the first match of a looser pattern, and so an echoed
    instruction as answer 1 and "12" as 2.
    """

    def __init__(self, prompt: Prompt) -> None:
        self._pattern = re.compile(rf"(?:{_with_words(prompt.answer_pattern)}){_AFTER}", re.I)
        self._instructions = _squeeze(
            plain(f"{prompt.system} {prompt.template} {prompt.retry}")  # as the text is read
        )
        self._written = {}  # the decisions in the form that the prompt asks for
        for word in ("1", "2", "none"):
            ways = [
                f"{prompt.direct_prefill}{word}{end}" for end in answer_ends(prompt.direct_prefill)
            ]
            fitting = [way for way in ways if self._pattern.search(way)]
            self._written[WORDS[word]] = fitting[0] if fitting else ""

    def __call__(self, reply: str) -> Preference | None:
        """The preference that ``reply`` states; None if there is none to be found."""
        text = final_text(reply)
        if text is None:
            return None
        text = self._unframe(self._read_json(text))
        matches = [
            match
            for match in self._pattern.finditer(text)
            if not _MENTION.search(text, max(match.start() - 40, 0), match.start())
        ]
        if not matches:
            return _bare(text)
        decisions = [
            (match.start(), WORDS.get(str(match[1]).lower()))
            for match, in_list in zip(matches, _listed(text, matches))
            if not in_list and not self._is_echo(text, match)
        ]
        if not decisions:
            return None
        start, last = decisions[-1]
        supposed = _HYPOTHETICAL.search(text, max(start - 60, 0), start) is not None
        contradicted = supposed and any(label != last for _, label in decisions)
        return None if contradicted else last

    def _read_json(self, text: str) -> str:
        """``text`` with each JSON object that decides written as the prompt asks for it."""
        starts = [match.start() for match in re.finditer(r"\{", text)][-MOST_OBJECTS:]
        pieces, end = [], 0
        for start in starts:
            if start < end:
                continue
            try:
                value, stop = _JSON.raw_decode(text, start)
            except (ValueError, RecursionError):
                continue
            label = self._decision_of(value)
            if label is not None:
                pieces += [text[end:start], f"\n{self._written[label]}\n"]
                end = stop
        return "".join([*pieces, text[end:]])

    def _decision_of(self, value: Any, depth: int = 4) -> Preference | None:
        """The first decision in decoded JSON: reasons come after it."""
        if not depth or not isinstance(value, dict):
            return None
        for key, content in value.items():
            label = None
            if isinstance(content, str | int | None) and not isinstance(content, bool):
                said = plain("none" if content is None else str(content))
                match = self._pattern.search(f'"{key}": "{said}"') if len(said) <= 40 else None
                if match and match.start() <= len(key):  # it is the key that names the decision
                    label = WORDS.get(str(match[1]).lower())
                elif re.sub(r"[\W_]", "", key.lower()) in DECIDING_KEYS:
                    label = _bare(said)
            else:
                label = self._decision_of(content, depth - 1)
            if label is not None:
                return label
        return None

    def _unframe(self, text: str) -> str:
        r"""``text`` with the decision in ``\boxed{…}`` or a tag as the prompt asks for it."""

        def written(match: re.Match[str]) -> str:
            label = _bare(re.sub(r"\\\w+", " ", match[1] or match[2] or ""))
            return match[0] if label is None else f"\n{self._written[label]}\n"

        return _FRAMED.sub(written, text)

    def _is_echo(self, text: str, match: re.Match[str]) -> bool:
        around = text[max(match.start() - _CONTEXT, 0) : match.end() + _CONTEXT]
        before = text[: match.start()].strip()
        after = text[match.end() :].strip(" \t\n)]}\"'`*.")
        return bool(before and after) and _squeeze(around) in self._instructions


def _bare(text: str) -> Preference | None:
    """The decision that ``text`` is, but for some words around it and reasons after it."""
    said, *reasons = _REASONS.split(text, maxsplit=1)
    if len(text) > LONGEST_BARE or any(_HOWEVER.search(reason) for reason in reasons):
        return None
    words = re.findall(r"n/a|[^\W\d_]+|\d+(?:\.\d+)?", said.lower())
    telling = {word for word in words if word not in FILLERS}
    labels = {WORDS.get(word) for word in telling}
    return labels.pop() if len(labels) == 1 else None


def _with_words(pattern: str) -> str:
    """``pattern``, whose one group is to take answers in words too."""
    tokens = re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P<\w+>|\((?!\?)", pattern, re.S)
    for token in tokens:
        if token[0].startswith("("):
            start, end = token.span()
            return rf"{pattern[:start]}(?:the\s+)?{token[0]}{_IN_WORDS}|{pattern[end:]}"
    return pattern


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
        word = plain(text).strip().lower()
        match = re.match(rf"(1|2|none){_AFTER}", word)
        if match:
            masses[WORDS[match[1]]] += math.exp(log_probability)
        elif word and "none".startswith(word):
            masses[Preference.TIE] += math.exp(log_probability)
    return masses


def explain_low_mass(masses: Sequence[float], min_mass: float) -> str:
    """What to do about answers whose covered masses are below ``min_mass``."""
    return (
        f"unknown where the answers that are asked for have less than --min-mass {min_mass:g} of "
        f"the probability (typically {np.median(masses):.2g}); these are kept, the same command "
        "changes nothing: --reparse True with a smaller --min-mass labels them and asks nobody; or "
        "take another model, or a --prompt-file whose form it keeps to"
    )


def combine_orders(masses: AnyArray, swapped_masses: AnyArray) -> tuple[AnyArray, float]:
    """Probabilities of first, second, tie and the lean (4,), means of both orders; covered mass.

    Each order is renormalised by itself. The lean is by how much the side shown first is likelier.
    With no mass at all in one order all four are NaN, and the mass is 0.
    """
    both = np.stack([masses, swapped_masses])
    covered = both.sum(axis=1)
    if not covered.all():
        return np.full(4, np.nan), 0.0
    shown = both / covered[:, None]
    probabilities = (shown[0] + shown[1, [1, 0, 2]]) / 2
    lean = (shown[:, 0] - shown[:, 1]).mean()
    return np.append(probabilities, lean), float(covered.mean())


def label_probabilities(
    probabilities: AnyArray, mass: float, *, tie_margin: float, min_mass: float
) -> Preference:
    """The label that probabilities of first, second, tie (and the lean, if any) stand for."""
    first, second, tie = probabilities[:3]
    if not mass or mass < min_mass or not np.isfinite(first + second + tie):
        return Preference.UNKNOWN
    if tie >= max(first, second) or abs(first - second) < tie_margin:
        return Preference.TIE
    return Preference.FIRST if first > second else Preference.SECOND

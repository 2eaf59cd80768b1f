"""Which part of a reply is its answer: no thoughts, plain characters, no special tokens."""

from __future__ import annotations

import re
import unicodedata

_NAMES = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|seed:think)"
_OPENED = re.compile(rf"<{_NAMES}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>", re.I)
_CLOSED = re.compile(rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>", re.I)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?(?:<\|message\|>)?", re.I
)
_FINAL = re.compile(r"assistant\s*final")  # of a channel's tokens when they are left out
_SPECIAL = re.compile(r"<\|[^|<>]{1,40}\|>|</?s>|<(?:start|end)_of_turn>|<eos>|\[/?INST\]")
_PLAIN = str.maketrans(
    "「」『』【】〈〉《》。、“”„‘’", '""""()()().,"""\'\'', "\u200b\u200c\u200d\u2060"
)


def final_text(text: str) -> str | None:
    """The answer in ``text``; None where it ends in the middle of a thought.

    All up to the last closing tag is thought, for the template may have opened it; so is every
    channel of a harmony-style reply but the final one.
    """
    *_, text = _CLOSED.split(text)
    channels = list(_CHANNEL.finditer(text))
    if channels:
        if channels[-1][1].lower() != "final":
            return None
        text = text[channels[-1].end() :]
    elif re.match(r"\s*analysis(?=[A-Z])", text):
        *thoughts, text = _FINAL.split(text)
        if not thoughts:
            return None
    if _OPENED.search(text):
        return None
    return plain(_SPECIAL.sub(" ", text))


def plain(text: str) -> str:
    """``text`` with full-width and circled digits and with typographic signs as plain ones."""
    return unicodedata.normalize("NFKC", text).translate(_PLAIN)

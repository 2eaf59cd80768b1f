"""What an annotator reads of an observation sequence: its messages, with or without status."""

from __future__ import annotations

from motif.messages import decode, group_repeats
from motif.types import AnyArray, MessageArray

# Indices into blstats, as NLE's nle.nethack.NLE_BL_* name them. Annotation runs where NLE is not
# installed, so they are written out here.
BL_HP, BL_HPMAX, BL_DEPTH, BL_GOLD, BL_XP, BL_HUNGER = 10, 11, 12, 13, 18, 21

HUNGER_WORDS = ("Satiated", "", "Hungry", "Weak", "Fainting", "Fainted", "Starved")


def status(blstats: AnyArray) -> str:
    """The bottom line in short, from one step's (27,) blstats."""
    hunger = int(blstats[BL_HUNGER])
    word = HUNGER_WORDS[hunger] if 0 <= hunger < len(HUNGER_WORDS) else ""
    shown = (
        f"Dlvl:{blstats[BL_DEPTH]} $:{blstats[BL_GOLD]} "
        f"HP:{blstats[BL_HP]}({blstats[BL_HPMAX]}) Xp:{blstats[BL_XP]} {word}"
    )
    return shown.rstrip()


def caption(messages_TC: MessageArray, blstats_T: AnyArray | None = None) -> str:
    """One side of a pair as text, as in the release.

    Equal consecutive messages are grouped as "text (xN)", empty ones are dropped, groups are
    joined by newlines; with ``blstats_T`` (T, 27) each group is followed by the status at its
    first step.
    """
    lines = []
    for text, count, first in group_repeats(decode(message) for message in messages_TC):
        if text:
            line = text if count == 1 else f"{text} (x{count})"
            lines.append(line if blstats_T is None else f"{line} {status(blstats_T[first])}")
    return "\n".join(lines)


def status_caption(blstats_T: AnyArray) -> str:
    """One side of a pair by its status alone: equal consecutive lines grouped."""
    groups = group_repeats(status(blstats) for blstats in blstats_T)
    return "\n".join(text if count == 1 else f"{text} (x{count})" for text, count, _ in groups)

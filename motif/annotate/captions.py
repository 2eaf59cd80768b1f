"""What an annotator reads of an observation sequence: its messages, with or without status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from motif.blstats import DEPTH, EXPERIENCE_LEVEL, GOLD, HP, HUNGER, HUNGER_WORDS, MAX_HP
from motif.messages import decode, group_repeats
from motif.pairs_dataset import PairsDataset
from motif.types import AnyArray, IndexArray, MessageArray

BLOCK = 4096  # pairs read at once


class Captioned(NamedTuple):
    """A pair of the dataset as the model would read it."""

    pair: int
    first: str
    second: str


def status(blstats: AnyArray) -> str:
    """The bottom line in short, from one step's (27,) blstats."""
    hunger = int(blstats[HUNGER])
    word = HUNGER_WORDS[hunger] if 0 <= hunger < len(HUNGER_WORDS) else ""
    shown = (
        f"Dlvl:{blstats[DEPTH]} $:{blstats[GOLD]} "
        f"HP:{blstats[HP]}({blstats[MAX_HP]}) Xp:{blstats[EXPERIENCE_LEVEL]} {word}"
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


def captioned_pairs(
    pairs: PairsDataset,
    indices: IndexArray,
    *,
    use_messages: bool = True,
    use_blstats: bool = False,
) -> Iterator[Captioned]:
    """The pairs ``indices`` with their captions, in blocks, in constant memory."""
    for start in range(0, len(indices), BLOCK):
        block = indices[start : start + BLOCK]
        # Mapped anew for each block: pages of a mapping that is gone do not count as memory used.
        messages_BPTC = pairs.mapped_anew("message")[block]
        blstats_BPT = pairs.mapped_anew("blstats")[block] if use_blstats else None
        for row, index in enumerate(block.tolist()):
            if blstats_BPT is None:
                sides = [caption(messages_BPTC[row, side]) for side in range(2)]
            elif use_messages:
                sides = [caption(messages_BPTC[row, s], blstats_BPT[row, s]) for s in range(2)]
            else:
                sides = [status_caption(blstats_BPT[row, side]) for side in range(2)]
            yield Captioned(index, *sides)

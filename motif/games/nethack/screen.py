"""What a player reads off NetHack's screen: the message, and the status lines as ``blstats``.

The terminal has 24 rows: messages on top, the map on rows 1 to 21, two status lines. Formats as in
NetHack 3.6 (``topl.c``, ``botl.c``).
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from motif.blstats import BLSTATS_SIZE, SCORE
from motif.messages import MESSAGE_LENGTH, encode
from motif.types import AnyArray, MessageArray

MAP_ROWS = range(1, 22)
STATUS_ROWS = (22, 23)
MESSAGE_ROWS = 5  # what a message of NetHack's 300 characters may cover, with its --More--
SHORTEST_FULL_ROW = 60  # a row is wrapped at a space, and words are short

_MORE = b"--More--"
_PAGE_END = re.compile(rb"(?:\(end\)|\(\d+ of \d+\)|--More--)\Z")  # of a menu or a text window
_QUESTION_END = (b"?", b"]", b")")
_STATUS = re.compile(rb"(?<!\S)(\w+|\S):(-?\d{1,18})(?:[/(](\d{1,18}|\*\*))?")
_FIELDS = {
    b"Dx": ["DEX"], b"Co": ["CON"], b"In": ["INT"], b"Wi": ["WIS"], b"Ch": ["CHA"],
    b"S": ["SCORE"], b"Dlvl": ["DEPTH"], b"$": ["GOLD"], b"T": ["TIME"],
    b"HP": ["HP", "HPMAX"], b"Pw": ["ENE", "ENEMAX"], b"AC": ["AC"],
    b"Xp": ["XP", "EXP"], b"Exp": ["XP"], b"HD": ["HD"],
}  # fmt: skip
_HUNGER = {b"Satiated": 0, b"Hungry": 2, b"Weak": 3, b"Fainting": 4, b"Fainted": 5, b"Starved": 6}
_NOT_HUNGRY = 1
_BURDEN = (b"Burdened", b"Stressed", b"Strained", b"Overtaxed", b"Overloaded")
_ALIGNMENT = {b"Chaotic": -1, b"Neutral": 0, b"Lawful": 1}
_CONDITIONS = (  # in the order of NLE's bits, BL_MASK_STONE being 1
    *(b"Stone", b"Slime", b"Strngl", b"FoodPois", b"TermIll", b"Blind", b"Deaf"),
    *(b"Stun", b"Conf", b"Hallu", b"Lev", b"Fly", b"Ride"),
)


def read_screens(
    chars: AnyArray, cursors: AnyArray, scores: AnyArray | None, before: AnyArray | None
) -> tuple[MessageArray, AnyArray]:
    """The messages and status of consecutive screens.

    What was last seen holds while a menu hides the status lines, while a question holds the
    cursor (the position), and while the score is cut off by the screen's edge.

    Args:
        chars: (T, 24, 80) uint8.
        cursors: (T, 2), row and column.
        scores: (T,), where the recording has them, and not only its screens.
        before: the (27,) blstats of the screen before these; ``None`` at the start of a game.

    Returns:
        (T, 256) uint8 and (T, 27) int64.
    """
    messages = np.zeros((len(chars), MESSAGE_LENGTH), dtype=np.uint8)
    blstats = np.zeros((len(chars), BLSTATS_SIZE), dtype=np.int64)
    last = np.zeros(BLSTATS_SIZE, dtype=np.int64) if before is None else before
    for index, (screen, (row, column)) in enumerate(zip(chars, cursors.tolist())):
        status = read_status(screen)
        now = blstats[index]
        now[:] = last
        if status is not None:
            now[2:] = status[2:]
            score = status[SCORE] if scores is None else scores[index]
            now[SCORE] = score or last[SCORE]  # 0 once the game is over
            if _is_on_map(screen, row, column):
                now[:2] = column, row - 1
            text = read_message(screen, row, column)
            if text:
                messages[index] = encode(text.decode("latin-1"))
        last = now
    return messages, blstats


def read_message(screen: AnyArray, row: int, column: int) -> bytes:
    """The message on ``screen`` (24, 80) whose cursor is at (row, column); empty if there is none.

    Byte for byte what NLE's ``message`` holds: rows that a long message was wrapped into are joined
    by a newline, a question keeps its last blank, --More-- is dropped. What stands beside a menu or
    a text window is no message, for the player has seen it before.
    """
    first = _text(screen, 0)
    if not first or first.startswith(b" "):
        return b""
    if row == 0:  # a question, or --More--
        return screen[0, :column].tobytes().replace(b"\0", b" ").removesuffix(_MORE)
    wrapped = _unwrap(screen, row, column)
    if wrapped is not None:
        return wrapped
    return b"" if _below_window(screen, row, column) else first.removesuffix(_MORE)


def read_status(screen: AnyArray) -> AnyArray | None:
    """The (27,) int64 blstats of ``screen`` without the position; ``None`` if it shows none.

    Not shown, and 0: the dungeon branch, the level's number in its branch, and what the player
    switched off (score, turn, experience points).
    """
    return _parse_status(*(screen[row].tobytes() for row in STATUS_ROWS))


@lru_cache(maxsize=1 << 12)
def _parse_status(first: bytes, second: bytes) -> AnyArray | None:
    from nle import nethack

    if b"HP:" not in second:
        return None
    start = first.find(b"St:")  # the player's name and title come before
    cut = not first.endswith(b" ")  # then the score may lack digits
    first = first[start:] if start >= 0 else b""
    first = first[: first.rfind(b"S:")] if cut else first
    status = np.zeros(BLSTATS_SIZE, dtype=np.int64)
    for name, value, rest in _STATUS.findall(first + b" " + second):
        if name == b"St":
            strength = _strength(int(value), rest)
            status[[nethack.NLE_BL_STR25, nethack.NLE_BL_STR125]] = _to_25(strength), strength
        for field, number in zip(_FIELDS.get(name, ()), (value, rest)):
            if number.lstrip(b"-").isdigit():
                status[getattr(nethack, f"NLE_BL_{field}")] = int(number)
    words = set(second[second.find(b"HP:") :].split())
    conditions = [1 << bit for bit, word in enumerate(_CONDITIONS) if word in words]
    alignments = [_ALIGNMENT[word] for word in first.split() if word in _ALIGNMENT]
    status[nethack.NLE_BL_HUNGER] = next((_HUNGER[w] for w in _HUNGER if w in words), _NOT_HUNGRY)
    status[nethack.NLE_BL_CAP] = next((i for i, w in enumerate(_BURDEN, 1) if w in words), 0)
    status[nethack.NLE_BL_CONDITION] = sum(conditions)
    status[nethack.NLE_BL_ALIGN] = alignments[0] if alignments else 0
    status.flags.writeable = False
    return status


def _strength(value: int, percent: bytes) -> int:
    """NetHack's own scale up to 125: 18/01 is 19, 18/** is 118, 19 is 119."""
    if percent:
        return 118 if percent == b"**" else 18 + int(percent)
    return value if value <= 18 else 100 + value


def _to_25(strength: int) -> int:
    """The scale up to 25 that attributes share (``acurrstr`` of NetHack's ``attrib.c``)."""
    if strength <= 18:
        return strength
    return 19 + strength // 50 if strength <= 121 else min(strength, 125) - 100


def _is_on_map(screen: AnyArray, row: int, column: int) -> bool:
    """Does the cursor show where the hero is?"""
    waits = _below_window(screen, row, column) or _unwrap(screen, row, column) is not None
    return row in MAP_ROWS and not waits


def _below_window(screen: AnyArray, row: int, column: int) -> bool:
    """Does the cursor wait below a menu or a text window?"""
    return bool(_PAGE_END.search(_before(screen, row, column)))


def _unwrap(screen: AnyArray, row: int, column: int) -> bytes | None:
    """The message that goes on to ``row``, where the cursor waits for a key; else ``None``.

    NLE's terminal goes down at a newline without going to the left, so that the second row begins
    below the first one's end, and goes on at the left of the third.
    """
    first = _text(screen, 0)
    if not 0 < row < MESSAGE_ROWS or len(first) < SHORTEST_FULL_ROW:
        return None
    rows = [_text(screen, above) for above in range(1, row)] + [_before(screen, row, column)]
    if rows[0][: len(first)].isspace():
        full = [text.ljust(screen.shape[1]) for text in rows[:-1]]
        rows = [b"".join([*full, rows[-1]])[len(first) :]]
    if any(not text or text.startswith(b" ") for text in rows):
        return None
    text = b"\n".join([first, *rows])
    if text.endswith(_MORE):
        text = text.removesuffix(_MORE)
        return None if text.endswith(b" ") else text.rstrip()  # in a window it stands apart
    at_the_end = _before(screen, row, column) == _text(screen, row)
    return text + b" " if at_the_end and text.endswith(_QUESTION_END) else None


def _before(screen: AnyArray, row: int, column: int) -> bytes:
    """What stands left of the cursor."""
    return _text(screen[:, :column], row)


def _text(screen: AnyArray, row: int) -> bytes:
    text: bytes = screen[row].tobytes()
    return text.replace(b"\0", b" ").rstrip()

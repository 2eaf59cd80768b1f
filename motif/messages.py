"""NetHack messages: 256 bytes, NUL-padded, latin-1; as text, as keys, as captions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

MESSAGE_LENGTH = 256  # bytes; NLE_MESSAGE_SIZE, shorter messages are padded with NUL


def decode(message: NDArray[np.uint8] | bytes) -> str:
    """The text of one message: every zero byte dropped, the rest read as latin-1."""
    return bytes(message).replace(b"\0", b"").decode("latin-1")


def encode(text: str) -> NDArray[np.uint8]:
    """``text`` as (256,) uint8, cut or NUL-padded; what latin-1 lacks becomes ``?``."""
    raw = text.encode("latin-1", errors="replace")[:MESSAGE_LENGTH]
    return np.frombuffer(raw.ljust(MESSAGE_LENGTH, b"\0"), dtype=np.uint8).copy()


def printable(text: str) -> str:
    """``text`` safe for a terminal, a file name or HTML source: control characters escaped.

    Newlines stay. Game messages and model output are data; they must not move a cursor.
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def keys(messages: NDArray[np.uint8]) -> list[bytes]:
    """One hashable key per message of an array (..., 256): its bytes without the padding."""
    rows = np.ascontiguousarray(messages, dtype=np.uint8).reshape(-1, MESSAGE_LENGTH)
    row_keys: list[bytes] = rows.view(f"S{MESSAGE_LENGTH}").ravel().tolist()
    return row_keys


def unique(
    messages: NDArray[np.uint8], rows_at_once: int = 1 << 16
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Distinct messages in order of first sight, and which one each row is.

    Args:
        messages: (..., 256) uint8, memory-mapped or not; read in blocks.

    Returns:
        (U, 256) uint8 and an index of shape ``messages.shape[:-1]``.
    """
    rows = messages.reshape(-1, MESSAGE_LENGTH)
    table: dict[bytes, int] = {}
    index = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), rows_at_once):
        block = keys(rows[start : start + rows_at_once])
        index[start : start + len(block)] = [table.setdefault(key, len(table)) for key in block]
    distinct = b"".join(key.ljust(MESSAGE_LENGTH, b"\0") for key in table)
    unique_UC = np.frombuffer(distinct, dtype=np.uint8).reshape(-1, MESSAGE_LENGTH)
    return unique_UC, index.reshape(messages.shape[:-1])


def group_repeats(texts: Iterable[str]) -> list[tuple[str, int, int]]:
    """Consecutive equal texts as (text, how many, index of the first)."""
    groups, position = [], 0
    for text, run in groupby(texts):
        count = len(list(run))
        groups.append((text, count, position))
        position += count
    return groups

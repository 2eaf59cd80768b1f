"""One copy of NetHack's machine code for all games of a machine.

NLE loads a copy of its library for each game, and again at each reset, since NetHack keeps its
state in global variables. A processor that steps many games in turn then finds none of the code in
its caches, and a step takes several times as long as that of a game played alone
(docs/performance.md). The code is the same in all copies: here they use the installed library's.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from functools import lru_cache
from typing import Any

from nle.nethack import nethack

MAP_FIXED = 0x10
EXECUTABLE = "r-xp"


def share_code(game: Any) -> int:
    """Map the installed library's code over that of a game's own copy.

    Args:
        game: NLE's ``Nethack``, after a reset.

    Returns:
        How many bytes; 0 where it can't be done: Linux alone has copies without a name.
    """
    copy = getattr(game, "_dl", None)
    if not sys.platform.startswith("linux") or copy is None:
        return 0
    inode, shared = str(os.fstat(copy.fileno()).st_ino), 0
    with open("/proc/self/maps") as maps:
        copied = [line.split() for line in maps if EXECUTABLE in line and inode in line]
    for places, _, offset, _, owner, *_ in copied:
        if owner == inode:
            start, end = (int(place, 16) for place in places.split("-"))
            _map(start, end - start, int(offset, 16))
            shared += end - start
    return shared


@lru_cache(maxsize=1)
def _library() -> tuple[Any, int]:
    """The C library's ``mmap``, and NetHack's library, open."""
    function = ctypes.CDLL(None, use_errno=True).mmap
    integer = ctypes.c_int
    function.restype = ctypes.c_void_p
    function.argtypes = ctypes.c_void_p, ctypes.c_size_t, integer, integer, integer, ctypes.c_long
    return function, os.open(nethack.DLPATH, os.O_RDONLY)


def _map(start: int, size: int, offset: int) -> None:
    function, library = _library()
    access, kind = mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE | MAP_FIXED
    if function(start, size, access, kind, library, offset) != start:
        raise OSError(ctypes.get_errno(), "cannot map NetHack's code", nethack.DLPATH)

"""A stand-in for NLE's game: a list of frames, the next with every key that is pressed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from nle import nethack

from motif.messages import encode


@dataclass
class Frame:
    """What the game shows; ``blstats`` by index, on top of turn 1 on level 1 of the main branch."""

    message: str = ""
    blstats: dict[int, int] = field(default_factory=dict)
    glyphs: dict[tuple[int, int], int] = field(default_factory=dict)  # (y, x) → glyph
    asks: str = ""  # "key", "text" or "more"
    over: bool = False  # the game is; NLE then reports zeros


STANDING = {nethack.NLE_BL_X: 10, nethack.NLE_BL_Y: 5, nethack.NLE_BL_DEPTH: 1}
STANDING |= {nethack.NLE_BL_DLEVEL: 1, nethack.NLE_BL_TIME: 1, nethack.NLE_BL_XP: 1}
FLAGS = {"key": 1, "text": 2, "more": 3}  # in NLE's "internal"


class ScriptedGame:
    """Plays ``frames``; the first is the reset's. Beyond the last the game is over."""

    def __init__(self, frames, keys=("glyphs", "blstats", "message", "program_state", "internal")):
        self.frames, self.pressed, self._names = list(frames), [], list(keys)
        self._arrays = {}
        for name in self._names:
            shape, dtype = (nethack.OBSERVATION_DESC[name][key] for key in ("shape", "dtype"))
            self._arrays[name] = np.zeros(shape, dtype)

    def reset(self, ttyrec=None, options=None):
        self.position = 0
        return self._show()

    def step(self, key):
        self.pressed.append(int(key))
        self.position += 1
        return self._show(), self.frame.over

    @property
    def frame(self):
        if self.position < len(self.frames):
            return self.frames[self.position]
        return Frame(over=True)

    def in_normal_game(self):
        return not self.frame.over

    def how_done(self):
        return 0

    def close(self):
        pass

    def _show(self):
        frame, arrays = self.frame, self._arrays
        arrays["message"][:] = encode(frame.message)
        arrays["glyphs"][:] = nethack.GLYPH_CMAP_OFF
        arrays["blstats"][:] = 0
        arrays["internal"][:] = 0
        arrays["program_state"][:] = (frame.over, 0, 0, not frame.over, not frame.over, 0)
        if not frame.over:
            for index, value in (STANDING | frame.blstats).items():
                arrays["blstats"][index] = value
            for place, glyph in frame.glyphs.items():
                arrays["glyphs"][place] = glyph
        if frame.asks:
            arrays["internal"][FLAGS[frame.asks]] = 1
        return tuple(arrays[name] for name in self._names)  # the same arrays each time, as NLE's

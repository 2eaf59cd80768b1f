"""The nine tasks, as rows of one table; read without NLE installed.

Facts: paper, section 4 and appendix on environments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from motif.blstats import CONDITION, LEVEL, X, Y
from motif.types import AnyArray

SUCCESS_REWARD = 50.0
DESCENT = b"You descend the stairs"
HALLUCINATING = 0x200  # NLE's BL_MASK_HALLU

Success = Callable[[bytes, list[int], AnyArray], bool]  # message, blstats, glyphs


@dataclass(frozen=True)
class ReachLevel:
    """The stairs were just taken to this level number of the branch, exactly."""

    level: int

    def __call__(self, message: bytes, blstats: list[int], glyphs: AnyArray) -> bool:
        return blstats[LEVEL] == self.level and DESCENT in message


@dataclass(frozen=True)
class MeetOracle:
    """The Oracle's glyph is in the 3x3 around the hero."""

    sober: bool = False  # hallucinating, any monster may look like the Oracle

    def __call__(self, message: bytes, blstats: list[int], glyphs: AnyArray) -> bool:
        # Differs from the release: the bit is tested, where it compared the whole field with 512.
        if self.sober and blstats[CONDITION] & HALLUCINATING:
            return False
        x, y = blstats[X], blstats[Y]
        around = glyphs[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        return bool((around == oracle_glyph()).any())


@lru_cache(maxsize=1)
def oracle_glyph() -> int:
    """The map glyph of the Oracle, awake and not a pet."""
    from nle import nethack

    for glyph in range(nethack.GLYPH_MON_OFF, nethack.GLYPH_PET_OFF):
        if nethack.permonst(nethack.glyph_to_mon(glyph)).mname == "Oracle":
            return glyph
    raise LookupError("this NetHack has no Oracle")


@dataclass(frozen=True)
class Task:
    """One row: what counts as success, and whether it ends the episode."""

    success: Success | None  # None: the reward is the gain in game score
    ends_on_success: bool = True


TASKS = {
    "NetHackScore-v1": Task(None),
    "NetHackStaircase-v1": Task(ReachLevel(2)),
    "NetHackStaircaseLvl3-v1": Task(ReachLevel(3)),
    "NetHackStaircaseLvl4-v1": Task(ReachLevel(4)),
    "NetHackStaircaseContinual-v1": Task(ReachLevel(2), ends_on_success=False),
    "NetHackStaircaseLvl3Continual-v1": Task(ReachLevel(3), ends_on_success=False),
    "NetHackStaircaseLvl4Continual-v1": Task(ReachLevel(4), ends_on_success=False),
    "NetHackOracle-v1": Task(MeetOracle()),
    "NetHackOracleSober-v1": Task(MeetOracle(sober=True)),
}

"""Kinds of NetHack's messages, in words that go on from “the player”."""

from __future__ import annotations

import re

KINDS = {
    # not its own pet: "You kill the poor kitten!"; the pattern of rules.yaml
    "kills a monster": re.compile(r"\byou (kill|destroy) (?!(the )?poor )", re.IGNORECASE),
    "hits a monster": re.compile(r"\bYou (hit|kick|strike) (?!the (door|wall))", re.IGNORECASE),
    "takes gold": re.compile(r"\$ - (a|\d+) gold piece", re.IGNORECASE),
    "sees gold": re.compile(r"you (see|feel) here (a|\d+) gold piece", re.IGNORECASE),
    "takes an item": re.compile(r"(^|  )[a-zA-Z] - "),
    "goes down": re.compile(r"\bYou (descend|climb down|fall through)", re.IGNORECASE),
    "sees stairs down": re.compile(r"staircase down here", re.IGNORECASE),
    "goes up": re.compile(r"\bYou (climb up|ascend)", re.IGNORECASE),
    "opens a door": re.compile(r"door opens|crashes open|succeed in", re.IGNORECASE),
    "gains a level": re.compile(
        r"welcome to experience level|you feel more experienced", re.IGNORECASE
    ),
    "is hurt": re.compile(r"\b(bites|hits|claws|stings|kicks|butts|scratches)!", re.IGNORECASE),
    "bumps into things": re.compile(r"it's (a wall|solid stone)|is in the way", re.IGNORECASE),
    "makes a useless move": re.compile(
        r"can't go (up|down) here|nothing here to|never mind|strange direction|unknown command",
        re.IGNORECASE,
    ),
}

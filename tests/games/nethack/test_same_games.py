"""The same seeds are the same games, byte for byte, whatever Python, NLE and numpy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.nle, pytest.mark.slow]

PLAYER = Path(__file__).with_name("seeded_games.py")
DATE = "2026-01-15 08:00:00"  # NetHack reads it
SCORE, STAIRS = "NetHackScore-v1", "NetHackStaircaseLvl3-v1"
GAMES = {  # task, character, seed, limit: as written by nle 1.0.0, numpy 1.26, Python 3.11
    (SCORE, "mon-hum-neu-mal", 2, 2000): ["c3ce4545ef683769", 1909, 10, "DEATH"],
    (SCORE, "val-dwa-law-fem", 1, 2000): ["8a57a3284b9a2951", 308, 4, "DEATH"],
    (SCORE, "wiz-elf-cha-mal", 4, 2000): ["451c834e5bfceeaf", 497, 3, "DEATH"],
    (SCORE, "sam-hum-law-fem", 3, 600): ["045ff2a305bf9f3c", 600, 5, "ABORTED"],
    (SCORE, "tou-hum-neu-mal", 3, 2000): ["04f0d1d1b893fa17", 435, 5, "DEATH"],
    (STAIRS, "mon-hum-neu-mal", 1, 2000): ["a00d519c1da44740", 585, 5, "TASK_SUCCESSFUL"],
}


@pytest.mark.skipif(
    not shutil.which("faketime"), reason="faketime, which pins the date, is missing"
)
def test_games_are_those_of_every_stack():
    line = ["faketime", "-f", DATE, sys.executable, PLAYER, json.dumps(list(GAMES))]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    played = dict(zip(GAMES, json.loads(done.stdout)))
    assert played == GAMES, "\n".join(f"    {game}: {result}," for game, result in played.items())

"""A small synthetic dataset, for tests of every area."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from motif import messages
from motif.pairs_dataset import ARRAYS, PairsDataset

TEXTS = (
    "",
    "You kill the newt!",
    "You see here a fortune cookie.",
    "$ - 12 gold pieces.",
    "You descend the stairs.",
    "It's a wall.",
    "The jackal bites!",
    "You stop.  Your kitten is in the way.",
    "caf\xe9 \xff",  # bytes above 0x7f occur in real games
)


def write_dataset(
    directory: Path, pairs: int, seq_len: int = 1, seed: int = 0, texts: Sequence[str] = TEXTS
) -> PairsDataset:
    """A synthetic dataset with every array of the layout; sides drawn from ``texts``."""
    rng = np.random.default_rng(seed)
    steps, sides = (pairs, 2, seq_len), (pairs, 2)
    encoded_UC = np.stack([messages.encode(text) for text in texts])
    arrays = {
        "message": encoded_UC[rng.integers(len(texts), size=steps)],
        "blstats": rng.integers(0, 50, size=(*steps, 27)),
        "tty_chars": rng.integers(32, 127, size=(*steps, 24, 80)).astype(np.uint8),
        "tty_colors": rng.integers(0, 16, size=(*steps, 24, 80)).astype(np.int8),
        "rewards": rng.integers(-1, 3, size=steps).astype(np.float32),
        "score": rng.integers(0, 4, size=sides),
        "turns": rng.integers(1, 5000, size=sides),
        "experience_level": rng.integers(1, 4, size=sides),
        "character": np.full(sides, b"mon-hum-neu-mal"),
    }
    for key, array in arrays.items():
        path = directory / ARRAYS[key].folder / f"{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    return PairsDataset(directory, keys=tuple(ARRAYS))

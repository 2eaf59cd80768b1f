"""Pairs like NetHack's: a few messages make most observations, and there is a long tail.

Shared by the benchmarks that need a dataset of a certain size and no game.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from motif.atomic_write import write_json
from motif.messages import encode
from motif.pairs_dataset import PairsDataset

EXPONENT = 1.65  # of Zipf's law

_MONSTERS = (
    "newt",
    "jackal",
    "sewer rat",
    "grid bug",
    "gnome lord",
    "hill orc",
    "giant beetle",
    "homunculus",
    "kobold zombie",
    "acid blob",
    "hobbit",
    "gecko",
    "small mimic",
    "gas spore",
    "iguana",
    "dwarf",
    "bugbear",
    "rotting corpse",
    "dog",
    "pony",
)
_ITEMS = (
    "food ration",
    "scroll labeled FOOBIE BLETCH",
    "clove of garlic",
    "dagger",
    "uncursed orange",
    "white gem",
    "large box",
    "pair of hard shoes",
    "iron chain",
    "rock",
    "pancake",
    "murky potion",
    "oil lamp",
    "crossbow bolt",
    "spellbook",
)
_ABOUT_MONSTERS = (
    "You kill the {}!",
    "The {} bites!",
    "The {} misses!",
    "You miss the {}.",
    "You hit the {}.",
    "You strike the {}. The {} turns to flee.",
    "The {} hits! The {} hits! You feel a strange vibration under your feet.",
    "You hear the shrieks of a {} in pain. You see here a {} corpse.",
    "You kick the {}. The {} deftly jumps out of the way. The {} is knocked out.",
    "Really attack the {}?",
)
_ABOUT_ITEMS = (
    "You see here a {}.",
    "{} - a {}.",
    "There is a doorway here. You see here a {}.",
    "You have a little trouble lifting a {}. Continue?",
    "What do you want to throw? [$ab or ?*] You don't have a {}.",
)
_COMMON = ("", "It's solid stone.", "It's a wall.", "You see no objects here.", "You stop.")


def message_texts(rng: np.random.Generator) -> list[str]:
    """Distinct messages, the commonest first."""
    monsters = [text.replace("{}", name) for name, text in product(_MONSTERS, _ABOUT_MONSTERS)]
    items = [text.replace("{}", name) for name, text in product(_ITEMS, _ABOUT_ITEMS)]
    gold = [f"You kill the {name}! $ - {n} gold." for name in _MONSTERS for n in range(2, 99)]
    both = [f"{monster} {item}" for monster, item in product(monsters, items)]
    rare = [*monsters, *items, *gold, *rng.choice(both, 600, replace=False)]
    return [*_COMMON, *rng.permutation(rare).tolist()]


def write_pairs(directory: Path, pairs: int, *, seed: int = 0) -> PairsDataset:
    """A dataset of ``pairs`` pairs with a label set named ``synthetic`` that can be learnt.

    As in games of a random player, ten messages make 85 % of the observations, 20,000 pairs have
    some 700 distinct ones, and those are between 40 and 50 characters long on average.
    """
    rng = np.random.default_rng(seed)
    table = np.stack([encode(text) for text in message_texts(rng)])
    share = 1 / np.arange(1, len(table) + 1) ** EXPONENT
    index = rng.choice(len(table), size=(pairs, 2, 1), p=share / share.sum())
    (directory / "data").mkdir(parents=True, exist_ok=True)
    np.save(directory / "data" / "message.npy", table[index])
    value = rng.integers(0, 4, len(table))[index[..., 0]]
    labels = np.where(value[:, 0] == value[:, 1], 2, value[:, 1] > value[:, 0]).astype(np.int8)
    (directory / "preference").mkdir(exist_ok=True)
    np.save(directory / "preference" / "synthetic.npy", labels)
    dataset = PairsDataset(directory)
    write_json(
        directory / "preference" / "synthetic.json",
        {"annotator": "synthetic", "dataset": dataset.fingerprint},
    )
    return dataset

"""Which pairs a run labels: all of them, the first so many, or a budget of chosen ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from motif.annotate.config import AnnotationConfig
from motif.errors import ConfigError
from motif.pairs_dataset import PairsDataset
from motif.preference.label_set import load_preferences
from motif.preference.labels import Preference
from motif.types import AnyArray, IndexArray

Doubts = Callable[[AnnotationConfig, PairsDataset], AnyArray]
# (N,): how much a label of each pair would tell, for --select uncertain


def choose_pairs(config: AnnotationConfig, doubts: Doubts) -> NDArray[np.bool_] | None:
    """Which pairs of the dataset (N,) the label set is to have labels of; None: all.

    A budget counts the labels that are there already, so that a larger one goes on from them, and
    the same command after a stop chooses the same pairs: nothing that it depends on changes until
    the last chunk is merged.

    Raises:
        ConfigError: the budget is larger than what there is.
        CheckpointError: the ensemble cannot be asked.
    """
    if config.first is None and config.budget is None:
        return None
    pairs = PairsDataset(config.directory)
    count = min(config.first or len(pairs), len(pairs))
    if config.budget is None:
        return np.arange(len(pairs)) < count
    if config.budget > count:
        raise ConfigError(
            f"--budget {config.budget}: there are {count:,} pairs; name at most so many, or leave "
            "--select and --budget out to label all"
        )
    if config.select == "uncertain":
        urgency_N = np.array(doubts(config, pairs), np.float64)
    else:
        urgency_N = np.random.default_rng(config.select_seed).random(len(pairs))
    known_N = ~_unknown(config, pairs)
    urgency_N[known_N] = np.inf
    order = np.argsort(-urgency_N[:count], kind="stable")[: config.budget]
    chosen_N = np.zeros(len(pairs), bool)
    chosen_N[order] = True
    labelled = int(known_N[:count].sum())
    new = urgency_N[order[labelled:]]
    told = f"{config.select}: {len(new):,} pairs beside {labelled:,} labelled ones"
    doubtful = config.select == "uncertain" and len(new)
    print(told + (f", doubts {new.max():.3f} to {new.min():.3f}" if doubtful else ""))
    return chosen_N


def indices_to_label(config: AnnotationConfig, doubts: Doubts) -> IndexArray:
    """Pairs of this chunk that are chosen and have no label in a merged set."""
    pairs = PairsDataset(config.directory)
    wanted_N, chosen_N = _unknown(config, pairs), choose_pairs(config, doubts)
    chunks, chunk = config.n_annotation_chunks, config.chunk_number
    wanted_N[: len(pairs) * chunk // chunks] = False
    wanted_N[len(pairs) * (chunk + 1) // chunks :] = False
    return np.flatnonzero(wanted_N if chosen_N is None else wanted_N & chosen_N)


def _unknown(config: AnnotationConfig, pairs: PairsDataset) -> NDArray[np.bool_]:
    """(N,): pairs without a label in the merged set of earlier runs, if it counts."""
    merged = config.directory / "preference" / f"{config.annotator}.npy"
    if config.ignore_existing or not merged.is_file():
        return np.ones(len(pairs), bool)
    return np.equal(load_preferences(pairs, config.annotator), Preference.UNKNOWN)

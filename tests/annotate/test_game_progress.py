"""The game's own numbers as annotators."""

from __future__ import annotations

import numpy as np
import pytest

from motif.annotate.annotator import annotate_chunk
from motif.annotate.game_progress import ReturnAnnotator, ScoreAnnotator
from motif.pairs_dataset import PairsDataset
from motif.preference.chunk import PreferenceChunk
from motif.preference.label_set import load_preferences
from motif.preference.labels import Preference


def labels_of(pairs: PairsDataset, name: str, annotator) -> list[int]:
    pairs = PairsDataset(pairs.directory, keys=annotator.keys)
    with PreferenceChunk(pairs, name, annotator.source) as chunk:
        annotate_chunk(pairs, annotator, chunk, flushing_freq=10)
    return load_preferences(pairs, name).tolist()


def expected(values_NP: np.ndarray) -> list[int]:
    return [
        Preference.FIRST if a > b else Preference.SECOND if b > a else Preference.TIE
        for a, b in values_NP.tolist()
    ]


def test_score_prefers_the_better_game(make_dataset):
    pairs = make_dataset(100)
    labels = labels_of(pairs, "score", ScoreAnnotator())
    assert labels == expected(pairs["score"])
    assert set(labels) == {Preference.FIRST, Preference.SECOND, Preference.TIE}


@pytest.mark.parametrize("seq_len", [1, 3])
def test_return_prefers_the_higher_sum_of_rewards(make_dataset, seq_len):
    pairs = make_dataset(100, seq_len=seq_len)
    labels = labels_of(pairs, "return", ReturnAnnotator())
    assert labels == expected(pairs["rewards"].sum(axis=2))
    assert set(labels) == {Preference.FIRST, Preference.SECOND, Preference.TIE}


def test_only_the_pairs_asked_for_are_labelled(make_dataset):
    pairs = make_dataset(20)
    for annotator in (ScoreAnnotator(), ReturnAnnotator()):
        (answers,) = annotator.annotate(pairs, np.array([7, 3]))
        assert answers.indices.tolist() == [7, 3]
        assert len(answers.labels) == 2


def test_their_sources_differ():
    assert ScoreAnnotator().source == {"type": "score"}
    assert ReturnAnnotator().source == {"type": "return"}

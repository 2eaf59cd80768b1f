"""Messages as bytes, text and keys."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from motif import messages

LATIN_1 = st.characters(min_codepoint=1, max_codepoint=255)
MESSAGES = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=4).map(lambda shape: (*shape, 256)),
    elements=st.sampled_from([0, 0, 65, 200, 255]),
    fill=st.just(0),
)


@given(st.text(LATIN_1, max_size=256))
def test_decode_undoes_encode(text):
    encoded = messages.encode(text)
    assert encoded.shape == (256,)
    assert encoded.dtype == np.uint8
    assert messages.decode(encoded) == text
    assert messages.decode(encoded.tobytes()) == text


@given(st.binary(max_size=256))
def test_any_bytes_are_text(raw):
    text = messages.decode(raw)
    assert "\0" not in text
    assert len(text) == len(raw) - raw.count(0)


def test_bytes_above_0x7f_and_inner_zeros():
    assert messages.decode(b"caf\xe9\0\xff\0\0") == "caf\xe9\xff"


def test_what_latin_1_lacks_becomes_a_question_mark_and_long_text_is_cut():
    assert messages.decode(messages.encode("2 € and \u4e2d")) == "2 ? and ?"
    assert messages.decode(messages.encode("x" * 300)) == "x" * 256


def test_encoded_messages_may_be_written_to():
    messages.encode("abc")[0] = 0


@given(st.text(max_size=40))
def test_printable_text_moves_no_cursor(text):
    shown = messages.printable(text)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert messages.printable(shown) == shown


def test_printable_escapes():
    assert messages.printable("a\x1b[2Jb\r\n\x85\x9bc\xe9") == "a\\x1b[2Jb\\r\n\\x85\\x9bc\xe9"


@given(MESSAGES)
def test_keys_are_equal_where_messages_are(array):
    rows = array.reshape(-1, 256)
    row_keys = messages.keys(array)
    assert len(row_keys) == len(rows)
    for key, row in zip(row_keys, rows):
        assert key.ljust(256, b"\0") == row.tobytes()


@given(MESSAGES, st.integers(1, 5))
def test_unique_agrees_with_numpy(array, rows_at_once):
    distinct, index = messages.unique(array, rows_at_once)
    assert index.shape == array.shape[:-1]
    assert (distinct[index] == array).all()
    expected = np.unique(array.reshape(-1, 256), axis=0)
    assert sorted(map(bytes, distinct)) == sorted(map(bytes, expected))
    first_sight = [int(np.flatnonzero(index.ravel() == u)[0]) for u in range(len(distinct))]
    assert first_sight == sorted(first_sight)


def test_unique_of_nothing():
    distinct, index = messages.unique(np.zeros((0, 2, 1, 256), np.uint8))
    assert distinct.shape == (0, 256)
    assert index.shape == (0, 2, 1)


def test_unique_reads_memory_maps(make_dataset):
    pairs = make_dataset(30)
    distinct, index = messages.unique(pairs.messages)
    assert isinstance(pairs.messages, np.memmap)
    assert (distinct[index] == pairs.messages).all()


@given(st.lists(st.sampled_from(["a", "b", ""]), max_size=12))
def test_groups_spell_out_the_texts(texts):
    groups = messages.group_repeats(texts)
    assert [text for text, count, _ in groups for _ in range(count)] == texts
    assert all(one[0] != other[0] for one, other in itertools.pairwise(groups))
    assert [first for _, _, first in groups] == [
        sum(count for _, count, _ in groups[:i]) for i in range(len(groups))
    ]


@pytest.mark.parametrize("shape", [(256,), (3, 256), (2, 2, 1, 256)])
def test_keys_of_any_leading_shape(shape):
    assert messages.keys(np.zeros(shape, np.uint8)) == [b""] * (np.prod(shape) // 256)

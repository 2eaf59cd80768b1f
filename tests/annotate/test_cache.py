"""The answer cache: append-only, shared, surviving crashes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from motif.annotate.cache import AnswerCache, answer_key


def test_answers_outlive_the_run_that_put_them(tmp_path: Path) -> None:
    key = answer_key("a", "b")
    cache = AnswerCache(tmp_path / "answers")
    cache.put(key, [0.25, 0.5, 0.25, 1.0])
    assert cache.get(key) == [0.25, 0.5, 0.25, 1.0]
    cache.close()
    assert AnswerCache(tmp_path / "answers").get(key) == [0.25, 0.5, 0.25, 1.0]


def test_flushed_answers_are_seen_by_another_process(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put(answer_key("a"), 0)  # falsy, but an answer
    cache.flush()
    assert AnswerCache(tmp_path).get(answer_key("a")) == 0


def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    for number in range(3):
        cache.put(answer_key(str(number)), number)
    cache.close()
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-5])
    again = AnswerCache(tmp_path)
    assert [again.get(answer_key(str(number))) for number in range(3)] == [0, 1, None]


def test_a_flipped_bit_never_becomes_another_answer(tmp_path: Path) -> None:
    cache, key = AnswerCache(tmp_path), answer_key("a")
    cache.put(key, [0.25, 0.5, 0.25, 1.0])
    cache.close()
    (path,) = tmp_path.glob("*.jsonl")
    raw = path.read_bytes()
    for position in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        again = AnswerCache(tmp_path)
        if len(again):  # a blank, or a letter of the key from small to large
            assert again.get(key) == [0.25, 0.5, 0.25, 1.0], position
        again.close()


def test_answers_without_a_checksum_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(f'["{answer_key("a").hex()}", 2]\n')
    assert AnswerCache(tmp_path).get(answer_key("a")) == 2


def test_what_is_no_answer_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": 1}\n["zz", 1]\n[1]\n\xff\xfe\n\n')
    assert len(AnswerCache(tmp_path)) == 0


def test_a_fresh_cache_starts_empty_and_keeps_the_old_file(tmp_path: Path) -> None:
    old = AnswerCache(tmp_path)
    old.put(answer_key("a"), 1)
    old.close()
    fresh = AnswerCache(tmp_path, fresh=True)
    assert fresh.get(answer_key("a")) is None
    fresh.close()
    assert len(AnswerCache(tmp_path)) == 1


def test_no_file_where_nothing_is_put(tmp_path: Path) -> None:
    AnswerCache(tmp_path / "answers").close()
    assert not (tmp_path / "answers").exists()


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_keys_differ_where_texts_do(one: list[str], other: list[str]) -> None:
    assert (answer_key(*one) == answer_key(*other)) == (one == other)

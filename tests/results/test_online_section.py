"""The report on labels made while training."""

from __future__ import annotations

import json

import pytest

from motif.results.online_section import online_section, read_history


def version(number, **messages):
    figures = {"labels": 10 * number, "backlog": 3, "labelled_share": 0.5, "steps": 512 * number}
    return {**figures, "reward_version": number, "labels_per_second": 0.2, "messages": messages}


@pytest.fixture
def run_folder(tmp_path):
    lines = [json.dumps(version(number, gold=0.1 * number, wall=-1.0)) for number in range(1, 21)]
    lines.insert(3, '{"labels": 3')  # cut short
    lines.insert(5, json.dumps({"reward_version": 6, "messages": None}))
    lines.append(json.dumps(version(21, gold=2.5, **{"<b>bold</b>": 1.0})))
    (tmp_path / "online").mkdir()
    (tmp_path / "online" / "versions.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_versions_are_read_but_for_what_a_crash_left(run_folder, tmp_path):
    assert [line["reward_version"] for line in read_history(run_folder)] == list(range(1, 22))
    assert read_history(tmp_path / "elsewhere") == []


def test_a_column_is_a_version_and_a_row_a_message(run_folder):
    section = online_section(read_history(run_folder))
    for text in ("version 1<", "version 5<", "version 21<", "50.0 %", "10,752", "+0.10", "+2.50"):
        assert text in section.body, text
    assert "wall" not in section.body  # it is not among the last one's
    assert "&lt;b&gt;bold" in section.body


def test_one_version_is_enough():
    section = online_section([version(1, gold=0.0)])
    assert section.body.count("version 1<") == 2

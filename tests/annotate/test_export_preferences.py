"""Label sets as training data: what is written, and that Hugging Face's loader reads it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_chat import ScriptedChatModel

from motif.annotate.captions import captioned_pairs
from motif.pairs_dataset import PairsDataset
from scripts.annotate_pairs_dataset import main as annotate
from scripts.export_preferences import main

MakeDataset = Callable[..., PairsDataset]
RULES = "rules_msg_defaultgoal"


def export(pairs: PairsDataset, output: Path, *arguments: str) -> int:
    line = ["--directory", str(pairs.directory), "--output", str(output)]
    return main([*line, "--annotator", RULES, *arguments])


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def pairs(make_dataset: MakeDataset) -> PairsDataset:
    dataset = make_dataset(200)
    assert annotate(["--directory", str(dataset.directory), "--annotator-type", "rules"]) == 0
    return dataset


def expected(pairs: PairsDataset, labels: np.ndarray) -> list[tuple[str, str]]:
    captioned = captioned_pairs(pairs, np.arange(len(pairs)))
    ordered = {0: lambda first, second: (first, second), 1: lambda first, second: (second, first)}
    return [ordered[label](*sides) for label, (_, *sides) in zip(labels, captioned) if label < 2]


def test_one_row_for_each_preference(
    pairs: PairsDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(pairs, tmp_path / "out.jsonl") == 0
    rows = read(tmp_path / "out.jsonl")
    labels = np.load(pairs.directory / f"preference/{RULES}.npy")
    assert [(row["chosen"], row["rejected"]) for row in rows] == expected(pairs, labels)
    assert {row["probability"] for row in rows} == {None}
    (prompt,) = {row["prompt"] for row in rows}
    assert prompt.endswith(".\n")
    ties = int((labels == 2).sum())
    assert f"{len(rows)} rows of 200 pairs; left out: tie {ties}\n" in capsys.readouterr().out
    assert export(pairs, tmp_path / "out.jsonl", "--prompt", "") == 0
    assert {row["prompt"] for row in read(tmp_path / "out.jsonl")} == {""}


def test_probabilities_are_those_of_the_chosen_side(
    make_dataset: MakeDataset, scripted_model: ScriptedChatModel, tmp_path: Path
) -> None:
    pairs = make_dataset(50)
    line = ["--custom-annotator-string", "judge", "--answer-mode", "direct", "--use-blstats"]
    assert annotate(["--directory", str(pairs.directory), *line]) == 0
    assert export(pairs, tmp_path / "out.jsonl", "--annotator", "judge") == 0
    rows = read(tmp_path / "out.jsonl")
    probabilities = np.load(pairs.directory / "preference/judge.probs.npy")
    labels = np.load(pairs.directory / "preference/judge.npy")
    likely = [probabilities[i, label] for i, label in enumerate(labels) if label < 2]
    assert [row["probability"] for row in rows] == pytest.approx(likely, abs=1e-5)
    assert all("HP:" in row["chosen"] for row in rows)  # what the judge has read


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_datasets_loads_it(pairs: PairsDataset, tmp_path: Path, kind: str) -> None:
    datasets = pytest.importorskip("datasets")
    assert export(pairs, tmp_path / "out.jsonl") == 0
    assert export(pairs, tmp_path / f"out.{kind}") == 0
    loader, file = {"jsonl": "json"}.get(kind, kind), str(tmp_path / f"out.{kind}")
    loaded = datasets.load_dataset(
        loader, data_files=file, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded.column_names == ["prompt", "chosen", "rejected", "probability"]
    assert loaded.to_list() == read(tmp_path / "out.jsonl")


def test_what_cannot_be_written(
    pairs: PairsDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit):
        export(pairs, tmp_path / "out.csv")
    assert "its name must end in .jsonl or .parquet" in capsys.readouterr().err
    assert export(pairs, tmp_path / "out.jsonl", "--annotator", "nobody") == 2
    assert "no label set 'nobody'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert export(pairs, tmp_path / "out.parquet") == 2
    assert "pip install '.[export]', or write .jsonl" in capsys.readouterr().err
    assert list(tmp_path.glob("*out*")) == []

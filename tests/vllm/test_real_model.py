"""A real small model through vLLM on the CPU, from its GGUF file to labels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from smollm2 import ONE_TOKEN_MODES, SHA256, smollm2

from motif.pairs_dataset import PairsDataset

MakePairs = Callable[..., PairsDataset]
ENGINE = '{"enforce_eager": true, "block_size": 32}'
PAIRS = 12


def run(*line: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, line)]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200)


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct as a folder, converted by the command of the docs."""
    source, folder = smollm2(), tmp_path_factory.mktemp("models") / "SmolLM2"
    result = run("scripts.convert_gguf", source, folder)
    assert result.returncode == 0, result.stderr
    assert "next: python -m scripts.annotate_pairs_dataset" in result.stdout
    assert run("scripts.convert_gguf", source, folder).stderr.startswith("error: ")
    return folder


def annotate(
    pairs: PairsDataset, model: Path, *more: str, loads: bool = True
) -> subprocess.CompletedProcess[str]:
    line = ["--directory", pairs.directory, "--model", model, "--dtype", "float32"]
    line += ["--max-model-len", "1024", "--engine-args", ENGINE, *more]
    result = run("scripts.annotate_pairs_dataset", *line)
    assert result.returncode == 0, result.stderr[-2000:]
    assert ("EngineCore" in result.stdout + result.stderr) == loads
    return result


@pytest.mark.parametrize("mode", ONE_TOKEN_MODES)
def test_a_first_part_then_all_then_once_more_from_the_cache(
    make_pairs: MakePairs, converted: Path, mode: str
) -> None:
    pairs = make_pairs(PAIRS)
    line = ["--answer-mode", mode, "--min-mass", "0.01", "--tie-margin", "0"]
    folder = pairs.directory / "preference"
    annotate(pairs, converted, *line, "--custom-annotator-string", "set", "--first", "4")
    part = np.load(folder / "set.npy")
    assert not (part[:4] == 3).any() and (part[4:] == 3).all()
    annotate(pairs, converted, *line, "--custom-annotator-string", "set")
    labels, probabilities = np.load(folder / "set.npy"), np.load(folder / "set.probs.npy")
    assert not (labels == 3).any() and np.array_equal(labels[:4], part[:4])
    assert probabilities[:, :3].sum(axis=1) == pytest.approx(np.ones(PAIRS), abs=1e-3)
    assert len(np.unique(probabilities[:, 0])) > PAIRS // 2
    model = json.loads((folder / "set.json").read_text())["source"]["model"]
    assert model["converted_from"]["sha256"] == SHA256
    annotate(pairs, converted, *line, "--custom-annotator-string", "again", loads=False)
    assert np.array_equal(np.load(folder / "again.npy"), labels)

"""A real small model through vLLM on the CPU, from its GGUF file to labels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from smollm2 import SHA256, smollm2

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
    pairs: PairsDataset, model: Path, *more: str, first: bool = True
) -> subprocess.CompletedProcess[str]:
    line = ["--directory", pairs.directory, "--model", model, "--dtype", "bfloat16"]
    line += ["--max-model-len", "1024", "--engine-args", ENGINE, *more]
    result = run("scripts.annotate_pairs_dataset", *line)
    assert result.returncode == 0, result.stderr[-2000:]
    assert ("EngineCore" in result.stdout + result.stderr) == first  # else no model was loaded
    return result


def test_direct_answers(make_pairs: MakePairs, converted: Path) -> None:
    pairs = make_pairs(PAIRS)
    direct = ["--answer-mode", "direct", "--min-mass", "0.01"]
    annotate(pairs, converted, *direct)
    folder, name = pairs.directory / "preference", "SmolLM2_msg_defaultgoal_default_direct"
    labels, probabilities = np.load(folder / f"{name}.npy"), np.load(folder / f"{name}.probs.npy")
    assert not (labels == 3).any()
    assert probabilities[:, :3].sum(axis=1) == pytest.approx(np.ones(PAIRS), abs=1e-3)
    assert len(np.unique(probabilities[:, 0])) > PAIRS // 2
    model = json.loads((folder / f"{name}.json").read_text())["source"]["model"]
    assert model["converted_from"]["sha256"] == SHA256
    annotate(pairs, converted, *direct, "--custom-annotator-string", "again", first=False)
    assert np.array_equal(np.load(folder / "again.npy"), labels)

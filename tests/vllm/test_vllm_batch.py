"""The real `vllm run-batch` on what `--backend batch` writes, as its last lines tell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LENGTH

from motif.pairs_dataset import PairsDataset
from motif.preference.labels import Preference
from scripts.annotate_pairs_dataset import main

OPEN = 3


@pytest.mark.parametrize(
    ("mode", "rounds"), [(("--answer-mode", "direct"), 1), (("--temperature", "0"), 2)]
)
def test_labels_are_those_of_a_server(
    make_pairs: Callable[..., PairsDataset],
    tiny_model: Path,
    server: Any,
    capfd: pytest.CaptureFixture[str],
    mode: tuple[str, ...],
    rounds: int,
) -> None:
    server.wait()
    pairs = make_pairs(200, seed=5)
    common = ["--directory", str(pairs.directory), *mode, "--custom-annotator-string"]
    over_http = ["--backend", "openai", "--model", "tiny", "--base-url", server.url]
    assert main([*common, "http", *over_http]) == 0
    batch = ["--backend", "batch", "--model", str(tiny_model), "--max-model-len", LENGTH]
    asked = 0
    capfd.readouterr()
    while main([*common, "batch", *batch]) == OPEN:
        asked += 1
        assert asked <= 4
        (printed,) = (text for text in capfd.readouterr()[0].splitlines() if "run-batch" in text)
        words = shlex.split(printed)
        assert words[:2] == ["vllm", "run-batch"]
        words[:2] = sys.executable, "-m", "vllm.entrypoints.openai.run_batch"  # of the CPU build
        subprocess.run([*words, "--dtype", "float32", "--enforce-eager"], check=True)
        if asked == 1 < rounds:  # as if it had been killed half-way
            answers = Path(words[words.index("-o") + 1])
            lines = answers.read_text().splitlines(keepends=True)
            answers.write_text("".join(lines[: len(lines) // 2]) + lines[-1][:99])
    assert asked >= rounds  # second turns take one more
    found, expected = (
        np.load(pairs.directory / f"preference/{name}.npy") for name in ("batch", "http")
    )
    assert np.array_equal(found, expected)
    assert (found != Preference.UNKNOWN).mean() >= 0.9

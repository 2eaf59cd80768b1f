"""What is said of GGUF files that cannot be converted; real ones: tests/vllm/test_real_model.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts.convert_gguf import main

EMPTY = b"GGUF" + bytes(20)


@pytest.mark.parametrize(
    ("content", "taken", "problem"),
    [
        (b"PK", False, "is no GGUF file"),
        (EMPTY, True, "is there already; name a new folder"),
        (EMPTY, False, "pip install transformers gguf accelerate"),
    ],
)
def test_what_cannot_be_converted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    taken: bool,
    problem: str,
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    file, folder = tmp_path / "model.gguf", tmp_path / "model"
    file.write_bytes(content)
    if taken:
        folder.mkdir()
    assert main([str(file), str(folder)]) == 2
    assert problem in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["model"] * taken

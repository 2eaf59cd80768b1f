"""Pictures under an environment that names a back end which is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BACK_END = "module://a_notebook.back_end"  # as Jupyter's kernel names its own
HELP = """
import contextlib, importlib, io, sys
for name in sys.argv[1:]:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:
        importlib.import_module("scripts." + name).main(["--help"])
    assert "usage: " in said.getvalue(), name
print("matplotlib" in sys.modules)
"""


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": BACK_END},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.nle
def test_help_of_what_draws_imports_no_matplotlib():
    pytest.importorskip("sample_factory")
    commands = ("plot_results", "report", "visualize", "describe_dataset", "compare_annotators")
    more = ("collect_results", "evaluate_reward", "evaluate_annotator", "quickstart", "reproduce")
    assert run("-c", HELP, *commands, *more) == "False"


def test_a_picture_and_a_datasheet(make_dataset, tmp_path):
    dataset, picture = make_dataset(6), tmp_path / "picture.png"
    flags = ["--directory", str(dataset.directory), "--picture", str(picture)]
    run("-m", "scripts.describe_dataset", *flags)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_named_back_end_stays_named():
    code = "import os, motif.drawing as d; d.import_matplotlib(); print(os.environ['MPLBACKEND'])"
    assert run("-c", code) == BACK_END


def test_a_film_and_aggregates():
    pytest.importorskip("rliable")
    code = "import numpy as np; from motif.play.gif import tiles; from motif.results.aggregates "
    code += "import aggregate; print(tiles().any(), list(aggregate({'motif': np.ones((2, 1))})))"
    assert run("-c", code) == "True ['motif']"

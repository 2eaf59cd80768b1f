"""A handful of real kills of each stage; docs/reliability.md has the figures of hundreds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from crash_stages import Stage

CAMPAIGN = Path(__file__).with_name("campaign.py")
ROOT = CAMPAIGN.parents[2]
KILLS = {
    "collect": 4,
    "annotate": 4,
    "annotate_server": 4,
    "train_reward": 4,
    "main": 1,  # kill -9; a start takes half a minute, and test_main_command.py sends SIGTERM
    "recording": 2,
}


@pytest.mark.slow
@pytest.mark.nle
@pytest.mark.parametrize("stage, kills", KILLS.items())
def test_some_kills(tmp_path, stage, kills):
    if stage == "collect" and not shutil.which("faketime"):
        pytest.skip("the date is pinned by faketime, which is not installed")
    line = [str(CAMPAIGN), "--stage", stage, "--kills", str(kills)]
    done = subprocess.run(
        [sys.executable, *line, "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] == figures["SIGKILL"] + figures.get("SIGTERM", 0) >= kills
    assert figures["SIGKILL"] >= kills / 2  # in turn with SIGTERM
    assert figures["attempts finished"] >= 1


def test_what_is_different_is_found(tmp_path):
    stage = Stage(tmp_path)
    for name, content in (("one", "a"), ("other", "a"), ("third", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(content)
    stage.check_equal(tmp_path / "one", tmp_path / "other")
    with pytest.raises(AssertionError, match=r"differs from .* in \['file'\]"):
        stage.check_equal(tmp_path / "one", tmp_path / "third")
    (tmp_path / "one" / ".file.tmp").touch()
    with pytest.raises(AssertionError, match="left over: "):
        stage.check_done(tmp_path / "one")

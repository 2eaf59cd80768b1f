"""A run where little is given: no git, no passwd entry, nothing writable but the run folder.

And where processes are spawned, as on macOS: nothing may be inherited by fork.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sample_factory")
pytestmark = [pytest.mark.slow, pytest.mark.nle]

ROOT = Path(__file__).resolve().parents[1]
BARE = f"""
set -e
mount -t tmpfs -o size=64m none /dev/shm
mount --bind /dev/null /etc/passwd
mount --bind {ROOT} {ROOT}
mount -o remount,bind,ro {ROOT}
cd {ROOT}
PATH=/nowhere exec "$@"
"""


def in_namespace(*line: object, **settings: object) -> subprocess.CompletedProcess[str]:
    words = ["unshare", "-m", "bash", "-c", BARE, "bash", *map(str, line)]
    return subprocess.run(words, capture_output=True, text=True, **settings)


@pytest.fixture(scope="module", autouse=True)
def _may_mount():
    try:
        allowed = in_namespace("/bin/true").returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("this user may not mount")


def test_a_run_trains_on_a_bare_machine(tmp_path):
    spawn = "import multiprocessing\nmultiprocessing.set_start_method('spawn', force=True)\n"
    (tmp_path / "sitecustomize.py").write_text(f"import os\nos.fork = None\n{spawn}")
    line = "--num_workers 1 --num_envs_per_worker 4 --batch_size 128 --train_for_env_steps 512"
    line += " --device cpu --llm_reward 0.0 --decorrelate_experience_max_seconds 0 --experiment run"
    done = in_namespace(
        *(sys.executable, "-m", "scripts.main", *line.split(), "--train_dir", tmp_path),
        env={
            **{name: value for name, value in os.environ.items() if name != "USER"},
            "HOME": "/proc",  # not even root may write there
            "PYTHONPATH": f"{tmp_path}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((tmp_path / "run/checkpoint_p0").glob("checkpoint_*.pth"))

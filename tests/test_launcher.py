"""Sample Factory's launcher, and several policies, with ours: docs/launcher.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rl_command import SERIAL, read_episodes, short_run, train_here

pytest.importorskip("sample_factory")
ROOT = Path(__file__).resolve().parent.parent


def launch(options, *flags):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "sample_factory.launcher.run",
            "--run=docs.examples.rl_sweep",
            *flags,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OPTIONS": options, "OMP_NUM_THREADS": "1"},
    )


def test_slurm_gets_a_job_for_each_seed_and_task(tmp_path):
    template = "docs/examples/rl_sweep.sbatch"
    flags = f"--backend=slurm --slurm_workdir={tmp_path}/logs --slurm_print_only=True "
    flags += f"--slurm_sbatch_template={template} --train_dir={tmp_path} --pause_between=0"
    done = launch("", *flags.split())
    assert done.returncode == 0, done.stderr
    jobs = [path.read_text() for path in (tmp_path / "logs").glob("sbatch_*.sh")]
    assert len(jobs) == 25
    for job in jobs:
        assert job.startswith("#!/bin/bash\n")
        assert "\nsrun python -m scripts.main --algo APPO" in job
        assert '[ "$status" -eq 143 ] && scontrol requeue "$SLURM_JOB_ID"' in job
    score = [job for job in jobs if "--root_env=NetHackScore-v1" in job]
    assert len(score) == 5
    assert all("--extrinsic_reward=0.1" in job for job in score)


@pytest.mark.slow
@pytest.mark.nle
def test_local_processes_run_each(tmp_path, monkeypatch):
    sweep = (ROOT / "docs/examples/rl_sweep.py").read_text()
    sweep = sweep.replace("SEEDS = [777, 778, 779, 780, 781]", "SEEDS = [1, 2]")
    for task in ("Staircase-v1", "StaircaseLvl3-v1", "StaircaseLvl4-v1", "Oracle-v1"):
        sweep = sweep.replace(f'    ("NetHack{task}", 10.0),\n', "")
    (tmp_path / "small_sweep.py").write_text(sweep)
    options = short_run(tmp_path, "unused", *SERIAL, "--train_for_env_steps", "64")
    where = options.index("--train_dir")
    del options[where : where + 4]  # the launcher names folder and experiment
    options += ["--llm_reward", "0.0"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sample_factory.launcher.run",
            "--run=small_sweep",
            "--backend=processes",
            "--max_parallel=1",
            f"--train_dir={tmp_path}",
            "--pause_between=0",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "OPTIONS": " ".join(options),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": f"{ROOT}:{tmp_path}",
        },
    )
    assert done.returncode == 0, done.stderr
    folders = sorted((tmp_path / "motif/motif_").glob("[!.]*"))  # and their locks, hidden
    assert [folder.name[:2] for folder in folders] == ["00", "01"]
    for folder in folders:
        assert list(folder.glob("checkpoint_p0/*.pth")), done.stderr


@pytest.mark.nle
def test_two_policies_train_and_mutate(tmp_path):
    flags = "--llm_reward 0.0 --num_policies 2 --with_pbt True --train_for_env_steps 128 "
    flags += "--pbt_period_env_steps 32 --pbt_start_mutation 32 --num_envs_per_worker 4"
    assert train_here(tmp_path, "population", *flags.split()) == 0
    run_folder = tmp_path / "population"
    for policy in range(2):
        assert list((run_folder / f"checkpoint_p{policy}").glob("checkpoint_*.pth"))
    assert read_episodes(run_folder)

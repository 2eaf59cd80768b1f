"""One test for each fix that Sample Factory 2.1.1 needs."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sample_factory.algo.learning.learner import Learner
from sample_factory.algo.runners.runner import Runner
from sample_factory.algo.utils.tensor_dict import TensorDict
from sample_factory.utils.attr_dict import AttrDict
from sample_factory.utils.utils import log

from motif.errors import DamagedFileError
from sample_factory_ext.encoder import make_encoder
from sample_factory_ext.environment import make_env
from sample_factory_ext.recurrent_core import make_core

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def learner(tmp_path):
    """A learner with as much of it as saving needs."""
    made = Learner.__new__(Learner)
    made.cfg = AttrDict(train_dir=str(tmp_path), experiment="run", keep_checkpoints=2)
    made.policy_id, made.is_initialized, made.best_performance = 0, True, -1e9
    made.train_step, made.env_steps, made.curr_lr = 5, 160, 1e-4
    made.actor_critic = torch.nn.Linear(2, 1)
    made.optimizer = torch.optim.Adam(made.actor_critic.parameters())
    return made


def folder(learner):
    return Path(Learner.checkpoint_dir(learner.cfg, 0))


READ_FACTORIES = """
import pickle, sys
pickle.loads(bytes.fromhex(sys.argv[1]))
from sample_factory.algo.learning.learner import Learner
assert Learner.save_best.__wrapped__
print(*sys.modules)
"""


def test_a_process_that_is_sent_the_factories_has_the_fixes_and_imports_little_else():
    sent = pickle.dumps((make_env, make_encoder, make_core)).hex()
    done = subprocess.run(
        [sys.executable, "-c", READ_FACTORIES, sent],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"sample_factory", "torch"} <= loaded
    assert not loaded & {"matplotlib", "PIL", "pandas", "rliable", "openai", "vllm", "wandb"}


FORGOTTEN = """
from importlib import util
find = util.find_spec
util.find_spec = lambda name: None if name in {absent} else find(name)
import sample_factory_ext
"""


@pytest.mark.parametrize(
    ("absent", "cure"),
    [
        (["sample_factory"], "pip install --no-deps sample-factory==2.1.1"),
        (["sample_factory", "nle"], "pip install -e '.[rl]'"),
    ],
)
def test_what_to_install_is_said(absent, cure):
    done = subprocess.run(
        [sys.executable, "-c", FORGOTTEN.format(absent=absent)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr.splitlines()[-1].endswith(f"is not installed; run: {cure}")


def test_vtrace_summaries_reach_tensorboard(rl_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(rl_run / ".summary" / "0")).Reload()
    tags = events.Tags()["scalars"]
    assert {"train/adv_min", "train/adv_max", "train/value_loss", "train/entropy"} <= set(tags)
    (first, *_) = events.Scalars("train/adv_max")
    assert np.isfinite(first.value)


@pytest.mark.parametrize("one", [np.ones(1), torch.ones(1)])
def test_one_number_is_stored_as_an_element(one):
    """Where games are not stepped together, an action and a reward come so."""
    stored = TensorDict(numbers=np.zeros(3), rows=np.zeros((3, 2)))
    stored[1] = {"numbers": one, "rows": one}
    assert stored["numbers"].tolist() == [0, 1, 0]
    assert stored["rows"].tolist() == [[0, 0], [1, 1], [0, 0]]


def test_a_run_goes_on_after_a_best_checkpoint(learner):
    assert learner.save_best(0, "reward", np.float64(3.5)) is True
    learner.save()
    (best,) = folder(learner).glob("best_*.pth")
    assert torch.load(best, weights_only=True)["best_performance"] == 3.5
    checkpoints = Learner.get_checkpoints(str(folder(learner)))
    content = Learner.load_checkpoint(checkpoints, torch.device("cpu"))
    assert (content["train_step"], content["env_steps"]) == (5, 160)
    assert type(content["best_performance"]) is float
    assert learner.save_best(0, "reward", np.float64(3.0)) is False
    assert learner.save_best(1, "reward", np.float64(9.0)) is False  # another policy's


def test_an_unfinished_checkpoint_is_neither_loaded_nor_counted(learner):
    learner.save()
    (folder(learner) / "checkpoint_temp").write_bytes(b"half a file")
    found = Learner.get_checkpoints(str(folder(learner)))
    assert [Path(path).name for path in found] == ["checkpoint_000000005_160.pth"]
    learner.train_step, learner.env_steps = 6, 192
    learner.save()
    learner.train_step, learner.env_steps = 7, 224
    learner.save()
    names = [Path(path).name for path in Learner.get_checkpoints(str(folder(learner)))]
    assert names == ["checkpoint_000000006_192.pth", "checkpoint_000000007_224.pth"]


def test_an_older_checkpoint_goes_only_when_the_new_one_is_whole(learner, monkeypatch):
    for step in (5, 6):
        learner.train_step = step
        learner.save()
    before = {path: path.read_bytes() for path in folder(learner).iterdir()}
    assert len(before) == learner.cfg.keep_checkpoints
    learner.train_step = 7

    def full(content, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space left"):
            learner.save()
    assert {path: path.read_bytes() for path in folder(learner).iterdir()} == before
    assert learner.save() is True
    assert len(list(folder(learner).iterdir())) == learner.cfg.keep_checkpoints


def test_a_milestone_is_whole_or_not_there(learner, monkeypatch):
    learner.save_milestone()
    (milestone,) = (folder(learner) / "milestones").iterdir()
    assert torch.load(milestone, weights_only=True)["env_steps"] == 160
    learner.env_steps = 192
    monkeypatch.setattr(os, "replace", lambda source, target: 1 // 0)
    with pytest.raises(ZeroDivisionError, match="division"):
        learner.save_milestone()
    assert list((folder(learner) / "milestones").iterdir()) == [milestone]


def test_a_learner_that_is_not_ready_saves_nothing(learner):
    learner.is_initialized = False
    assert learner.save() is False
    assert list(folder(learner).iterdir()) == []


def test_a_damaged_checkpoint_is_refused_not_trained_over(learner):
    """Sample Factory logs the error and starts from scratch."""
    learner.save()
    (path,) = map(Path, Learner.get_checkpoints(str(folder(learner))))
    raw = bytearray(path.read_bytes())
    raw[300:-300:50] = bytes(len(raw[300:-300:50]))  # within the archive's parts
    path.write_bytes(raw)
    with pytest.raises(DamagedFileError, match=r"160\.pth is damaged"):
        Learner.load_checkpoint([str(path)], torch.device("cpu"))
    assert Learner.load_checkpoint([], torch.device("cpu")) is None


def test_the_config_is_written_whole(tmp_path, monkeypatch):
    cfg = AttrDict(train_dir=str(tmp_path), experiment="run", seed=777, cli_args={"seed": 777})
    path = tmp_path / "run" / "config.json"
    Runner._save_cfg(SimpleNamespace(cfg=cfg))
    assert json.loads(path.read_text()) == dict(cfg)
    before = path.read_bytes()

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        Runner._save_cfg(SimpleNamespace(cfg=AttrDict(cfg, seed=1)))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["config.json"]


def test_sample_factorys_log_stays_off_the_terminal():
    terminals = [handler for handler in log.handlers if type(handler) is logging.StreamHandler]
    assert terminals
    assert all(handler.level >= logging.ERROR for handler in terminals)


def test_a_run_does_without_git(tmp_path):
    program = "import pathlib, sys; from rl_command import train_here; sys.exit(train_here("
    program += f"pathlib.Path({str(tmp_path)!r}), 'run', '--train_for_env_steps', '64'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,  # a git repository, so that they ask
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert (config["git_hash"], config["git_repo_name"]) == ("unknown", "git is not installed")
    assert (tmp_path / "run/checkpoint_p0").is_dir()


WANDB = """
import json, sys
from sample_factory.utils.attr_dict import AttrDict
import sample_factory_ext.train
from sample_factory.algo.runners import runner
cfg = AttrDict(json.loads(sys.argv[1]))
runner.init_wandb(cfg)
import wandb
run = wandb.run
print("started:", run.settings.mode, run.name == cfg.wandb_unique_id, run.project)
wandb.finish()
"""


@pytest.mark.slow
def test_the_installed_wandb_starts(tmp_path):
    cfg = {
        "with_wandb": True,
        "experiment": "x",
        "env": "y",
        "wandb_project": "motif",
        "wandb_job_type": "SF",
        "wandb_tags": [],
        "wandb_group": None,
        "wandb_user": None,
    }
    done = subprocess.run(
        [sys.executable, "-c", WANDB, json.dumps(cfg)],
        capture_output=True,
        text=True,
        env={**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)},
        timeout=120,
    )
    assert "started: offline True motif" in done.stdout, done.stderr
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_a_line_that_the_log_cannot_hold_gives_no_traceback(tmp_path, capsys):
    handler = logging.FileHandler(tmp_path / "sf_log.txt", encoding="ascii")
    log.addHandler(handler)
    try:
        log.info("saving \u2026")
        log.info("saved")
    finally:
        log.removeHandler(handler)
        handler.close()
    assert (tmp_path / "sf_log.txt").read_text() == "saved\n"
    assert capsys.readouterr().err == ""

"""Stage 2 through its command line."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from motif.errors import CheckpointError
from motif.file_lock import only_run
from motif.reward.checkpoint import list_checkpoints, load_reward_model
from scripts import import_release_reward, train_reward

pytestmark = pytest.mark.filterwarnings("ignore:.*has no provenance", "ignore:all .* known labels")
ROOT = Path(__file__).resolve().parent.parent
README_LINE = """--batch_size 1024 --num_workers 40 --reward_lr 1e-5 --num_epochs 10 --seed 777
    --dataset_dir motif_dataset --annotator llama70b_msg_defaultgoal_default
    --experiment standard_reward --train_dir train_dir/reward_saving_dir"""
FILES = ("train_metrics.csv", "val_metrics.csv", "reward_metrics/train_norm_quantiles.csv")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def arguments(make_labelled_dataset, tmp_path) -> list[str]:
    dataset = make_labelled_dataset(60)
    line = f"--dataset_dir {dataset.directory} --train_dir {tmp_path / 'runs'} --experiment toy"
    line += " --annotator toy --batch-size 16 --num_epochs 2 --reward_lr 1e-3 --device cpu"
    return [*shlex.split(line), "--encoder_msg_model=lt_cnn_small"]


def test_the_line_of_the_release_works_as_it_stands(
    make_labelled_dataset, tmp_path, monkeypatch, capsys
):
    dataset = make_labelled_dataset(40)
    preferences = dataset.directory / "preference"
    (preferences / "toy.npy").rename(preferences / "llama70b_msg_defaultgoal_default.npy")
    monkeypatch.chdir(tmp_path)
    assert train_reward.main([*shlex.split(README_LINE), "--device", "cpu"]) == 0
    folder = tmp_path / "train_dir" / "reward_saving_dir" / "standard_reward"
    assert load_reward_model(folder).path.name == "checkpoint_10.pth"
    captured = capsys.readouterr()
    assert "--num_workers has no effect" in captured.err
    assert "Next: python -m scripts.main" in captured.out
    config = json.loads((folder / "cfg.json").read_text())
    assert (config["reward_lr"], config["seed"], config["num_epochs"]) == (1e-5, 777, 10)


def test_without_that_label_set_the_error_says_what_there_is(
    make_labelled_dataset, tmp_path, monkeypatch, capsys
):
    make_labelled_dataset(40)
    monkeypatch.chdir(tmp_path)
    assert train_reward.main(shlex.split(README_LINE)) == 2
    error = capsys.readouterr().err
    assert "no label set 'llama70b_msg_defaultgoal_default'" in error
    assert "there are: toy" in error and "python -m scripts.annotate_pairs_dataset" in error


def test_pasted_flags_of_the_rl_stage_are_explained(arguments, capsys):
    pasted = ["--algo", "APPO", "--env", "nle_fixed_eat_action", "--wandb", "False"]
    assert train_reward.main([*arguments, *pasted]) == 0
    error = capsys.readouterr().err
    assert all(f"note: --{flag} has no effect:" in error for flag in ("algo", "env", "wandb"))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--dataset_dir", "nowhere"], "no dataset in nowhere; make one"),
        (["--annotator", "nobody"], "no label set 'nobody'"),
        (["--use_glyphs", "True"], "the pairs hold no glyphs"),
        (["--soft_labels"], "has no probabilities"),
        (["--label_share", "0"], "--label_share 0.0: more than 0, at most 1"),
        (["--label_noise", "1.2"], "--label_noise 1.2: from 0 to 1"),
        (["--batch_size", "-3"], "--batch_size -3: it must be more than 0"),
        (["--use_blstats", "maybe"], "expected True or False, got 'maybe'"),
        (["--encoder_msg_model", "bert"], "invalid choice: 'bert'"),
    ],
)
def test_bad_settings_end_with_one_line(arguments, capsys, extra, message):
    try:
        status = train_reward.main([*arguments, *extra])
    except SystemExit as exit:  # argparse's own errors
        status = exit.code
    captured = capsys.readouterr()
    assert status == 2
    assert message in captured.err and "Traceback" not in captured.err


@pytest.mark.parametrize("word", ["False", "false", "0", "no"])
def test_false_is_false(arguments, word):
    assert train_reward.main([*arguments, "--use_blstats", word, "--use_crop", word]) == 0


def test_a_gpu_that_is_not_there(arguments, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert train_reward.main([*arguments, "--device", "gpu"]) == 2
    assert "--device gpu: torch sees no GPU here; use --device cpu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("label", "status", "message"), [(3, 2, "needs 5. Label the unknown"), (2, 0, "")]
)
def test_all_unknown_or_all_ties(arguments, capsys, label, status, message):
    dataset_dir = Path(arguments[1])
    np.save(dataset_dir / "preference" / "toy.npy", np.full(60, label, np.int8))
    assert train_reward.main(arguments) == status
    assert message in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write(arguments, tmp_path, capsys):
    (tmp_path / "runs").mkdir(mode=0o500)
    assert train_reward.main(arguments) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_a_run_folder_that_is_a_file(arguments, tmp_path, capsys):
    (tmp_path / "runs").write_text("")
    assert train_reward.main(arguments) == 2
    assert str(tmp_path / "runs") in capsys.readouterr().err


def test_importing_needs_a_folder(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        import_release_reward.main([])
    assert exit.value.code == 2
    assert "--release_dir is required" in capsys.readouterr().err
    assert import_release_reward.main(["--release_dir", str(tmp_path / "none")]) == 2
    assert "no reward folder" in capsys.readouterr().err


def spawn(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.train_reward", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_killed_with_minus_nine_and_started_again(arguments, tmp_path):
    """The files are those of a run that was left alone."""
    whole, killed = tmp_path / "runs" / "toy", tmp_path / "runs" / "killed"
    epochs = ["--num_epochs", "15"]
    assert train_reward.main([*arguments, *epochs]) == 0
    process = spawn([*arguments, *epochs, "--experiment", "killed"])
    deadline = time.monotonic() + 60
    while len(list_checkpoints(killed)) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 3 <= len(list_checkpoints(killed)) < 16
    assert train_reward.main([*arguments, *epochs, "--experiment", "killed"]) == 0
    assert [(killed / name).read_bytes() for name in FILES] == [
        (whole / name).read_bytes() for name in FILES
    ]


def test_a_second_run_in_the_same_folder_is_refused(arguments, tmp_path, capsys):
    busy = CheckpointError("busy")
    with only_run(tmp_path / "runs" / "toy", busy):
        assert train_reward.main(arguments) == 2
    error = capsys.readouterr().err
    assert "another run is training in" in error and "choose another --experiment" in error
    assert train_reward.main(arguments) == 0


def test_the_reward_imports_without_game_or_llm():
    """Stage 2 runs where neither nle, gymnasium, sample_factory nor vllm is installed."""
    code = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"nle", "gymnasium", "gym", "sample_factory", "vllm"}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocker())
import pkgutil, importlib, motif.reward, scripts.train_reward, scripts.import_release_reward
for module in pkgutil.iter_modules(motif.reward.__path__, "motif.reward."):
    importlib.import_module(module.name)
try:
    import nle
except ImportError:
    print("done")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.stdout == "done\n", result.stderr

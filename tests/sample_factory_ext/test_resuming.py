"""Going on with a run with other flags: what is refused, what is asked for, what is taken."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from rl_command import env_steps, train_here

from motif.reward.checkpoint import find_checkpoint
from sample_factory_ext.player import CheckpointPlayer

pytestmark = pytest.mark.nle


@pytest.fixture
def run(rl_run, tmp_path):
    """A copy of the short run, at 256 steps or more; it was trained with --llm_reward 0.1."""
    return shutil.copytree(rl_run, tmp_path / "run")


def go_on(run, *flags):
    """32 steps more."""
    goal = env_steps(run)[-1] + 32
    return train_here(run.parent, run.name, "--train_for_env_steps", str(goal), *flags)


def refused(run, capsys, *flags):
    """The error of going on, which must leave the run as it was."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert go_on(run, *flags) == 2
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "flags, change",
    [
        ("--hidden_size 256", "--hidden_size 512, not 256"),
        ("--encoder_subtype convnet_atari", "--encoder_subtype convnet_simple, not convnet_atari"),
        ("--use_rnn False", "--use_rnn True, not False"),
        ("--rnn_type lstm", "--rnn_type gru, not lstm"),
        ("--optimizer lamb --adam_eps 1e-7", "--optimizer adam, not lamb, and --adam_eps 1e-06"),
        (
            "--encoder_custom nle_torchbeast_encoder --encoder_hidden_dim 512",
            "--encoder_custom nle_rgbcrop_encoder, not nle_torchbeast_encoder; its",
        ),
    ],
)
def test_another_network_or_optimiser_is_refused(run, capsys, flags, change):
    line = refused(run, capsys, "--accept_changes", "True", *flags.split())
    assert line.startswith(f"error: {run} was trained with {change}")
    assert line.endswith(
        "its checkpoint cannot go on like that: leave it out, or start afresh with another "
        "--experiment"
    )
    assert CheckpointPlayer(run).env_steps == env_steps(run)[-1]  # it can still be played


def test_what_is_learnt_is_asked_for(run, capsys):
    flags = "--llm_reward 0.5 --beta_count_exponent 2 --reward_scale 0.1"  # the last as before
    assert refused(run, capsys, *flags.split()) == (
        f"error: {run} was trained with --llm_reward 0.1, not 0.5, and --beta_count_exponent 3.0, "
        "not 2.0; go on with the old values, or with these by --accept_changes True, or start "
        "afresh with another --experiment"
    )


def test_accepted_changes_are_told_and_kept(run, capsys):
    reached = env_steps(run)[-1]
    assert go_on(run, "--gamma", "0.9", "--accept_changes", "True") == 0
    note = f"note: its first {reached:,} steps {run} was trained with --gamma 0.99, not 0.9\n"
    assert note in capsys.readouterr().out
    config = json.loads((run / "config.json").read_text())
    assert (config["gamma"], config["accept_changes"]) == (0.9, False)
    assert "accept_changes" not in config["cli_args"]
    assert go_on(run) == 0  # with what is in config.json now
    assert "--gamma 0.9, not 0.99;" in refused(run, capsys, "--gamma", "0.99")


def test_where_and_how_long_may_change(run):
    assert go_on(run, "--num_envs_per_worker", "1", "--keep_checkpoints", "7") == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["num_envs_per_worker"], config["llm_reward"]) == (1, 0.1)


def test_another_reward_model_in_the_same_folder(run, reward_folder, tmp_path, capsys):
    moved = shutil.copytree(reward_folder, tmp_path / "reward")
    assert go_on(run, "--reward_dir", str(moved)) == 0  # the same model elsewhere
    path = find_checkpoint(moved)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "reward_mean": content["reward_mean"] + 1}, path)
    line = refused(run, capsys)
    name = rf"{path.name} \(sha256 [0-9a-f]{{12}}\)"
    assert re.search(f"trained with the reward model {name}, not {name}; go", line)
    assert go_on(run, "--accept_changes", "True") == 0


def test_a_run_of_an_older_version_names_the_folder(run, reward_folder, tmp_path, capsys):
    config = json.loads((run / "config.json").read_text())
    del config["reward_model"], config["accept_changes"]
    (run / "config.json").write_text(json.dumps(config))
    moved = shutil.copytree(reward_folder, tmp_path / "reward")
    line = refused(run, capsys, "--reward_dir", str(moved))
    assert f"was trained with --reward_dir {reward_folder}, not {moved}; go on with" in line


def test_a_run_without_checkpoint_takes_any_settings(run):
    goal = env_steps(run)[-1]
    shutil.rmtree(run / "checkpoint_p0")
    flags = f"--hidden_size 64 --gamma 0.9 --train_for_env_steps {goal}"
    assert train_here(run.parent, run.name, *flags.split()) == 0
    assert json.loads((run / "config.json").read_text())["rnn_size"] == 64


def test_settings_that_do_not_go_with_those_of_the_run(run, capsys):
    """The command line alone would do: 96 is three rollouts of 32."""
    assert go_on(run, "--rollout", "16", "--recurrence", "16", "--accept_changes", "True") == 0
    line = refused(run, capsys, "--rollout", "32", "--accept_changes", "True")
    assert line.startswith("error: --recurrence 16 must be --rollout 32 (or -1,")

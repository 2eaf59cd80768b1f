"""``scripts.export_model`` on real runs: what is in the folder, and every stage that takes it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rl_command import short_games, train_here

from motif.errors import CheckpointError
from motif.exported_model import halved
from motif.reward.checkpoint import (
    find_checkpoint,
    list_checkpoints,
    load_reward_model,
    read_checkpoint,
    save_checkpoint,
)
from motif.reward.held_out import EvaluationConfig
from scripts import evaluate_reward, export_model, train_reward, visualize

pytestmark = pytest.mark.filterwarnings("ignore:.*has no provenance")


def dataset_of(reward_folder):
    return reward_folder.parent / "motif_dataset"


def export(run, output, *flags):
    return export_model.main(["--run", str(run), "--output", str(output), *map(str, flags)])


def paths_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def model_file(folder: Path) -> dict:
    return json.loads((folder / "model.json").read_text())


@pytest.fixture(scope="module")
def exported_reward(reward_folder, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("models") / "reward_toy"
    assert export(reward_folder, output, "--dataset_dir", dataset_of(reward_folder)) == 0
    return output


@pytest.fixture(scope="module")
def exported_policy(rl_run, exported_reward) -> Path:
    """In the folder of the exported reward, which it names as it lies from there."""
    models = exported_reward.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(models.parent)
        reward = ["--reward_dir", f"{models.name}/reward_toy"]
        assert export(rl_run, models / "policy_toy", *reward) == 0
    return models / "policy_toy"


# Reward


def test_a_reward_is_the_same_to_the_last_bit(reward_folder, exported_reward):
    last = find_checkpoint(reward_folder)
    assert paths_below(exported_reward) == {
        "cfg.json",
        "model.json",
        f"checkpoint_p0/{last.name}",
    }
    before, after = load_reward_model(reward_folder), load_reward_model(exported_reward)
    messages = before.train_messages
    np.testing.assert_array_equal(before.score(messages), after.score(messages))
    assert (before.mean, before.variance) == (after.mean, after.variance)
    assert before.quantiles == after.quantiles


def test_weights_only(exported_reward):
    content = read_checkpoint(find_checkpoint(exported_reward))
    assert content["optimizer"]["state"] == {}
    assert len(content["train_messages"]) == len(content["train_rewards"]) == 0
    assert not any(content["history"].values())
    weights = sum(tensor.numel() for tensor in content["model"].values()) * 4
    assert find_checkpoint(exported_reward).stat().st_size < weights + 20_000


def test_what_made_it_and_how_good_it_is(reward_folder, exported_reward):
    content = model_file(exported_reward)
    assert content["kind"] == "reward"
    assert content["command"] == (
        "python -m scripts.train_reward --dataset_dir motif_dataset --annotator toy --train_dir "
        f"{reward_folder.parent.name} --experiment toy_reward --batch_size 16 --reward_lr 0.0001 "
        "--num_epochs 1 --seed 777 --device cpu --encoder_msg_model lt_cnn_small"
    )
    config = EvaluationConfig(str(reward_folder), str(dataset_of(reward_folder)))
    assert content["figures"] == evaluate_reward.evaluate_reward(config)
    assert (content["seed"], content["annotator"]) == (777, "toy")
    for name, file in content["files"].items():
        data = (exported_reward / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])


@pytest.mark.nle
def test_no_path_of_the_machine(reward_folder, exported_reward, exported_policy):
    for folder in (exported_reward, exported_policy):
        for path in folder.rglob("*.json"):
            assert str(reward_folder.parent.parent) not in path.read_text(), path
            assert str(Path(__file__).parent.parent) not in path.read_text(), path
    config = read_checkpoint(find_checkpoint(exported_reward))["config"]
    assert config["dataset_dir"] == "motif_dataset"


def test_a_reward_is_closed_to_training_but_a_copy_goes_on(
    reward_folder, exported_reward, tmp_path, capsys
):
    def train(train_dir):
        line = (
            f"--annotator toy --batch_size 16 --num_epochs 3 --device cpu --train_dir {train_dir} "
        )
        line += "--experiment reward_toy --encoder_msg_model lt_cnn_small --dataset_dir "
        return train_reward.main([*line.split(), str(dataset_of(reward_folder))])

    before = model_file(exported_reward)
    assert train(exported_reward.parent) == 2
    assert "reward_toy holds an exported model (model.json)" in capsys.readouterr().err
    assert paths_below(exported_reward) == {"model.json", *before["files"]}
    copy = shutil.copytree(exported_reward, tmp_path / "reward_toy")
    (copy / "model.json").unlink()
    assert train(tmp_path) == 0
    assert "1 of 3 epochs are done" in capsys.readouterr().out
    assert len(list_checkpoints(copy)) == 3


@pytest.mark.nle
def test_an_agent_trains_with_an_exported_reward(exported_reward, tmp_path):
    pytest.importorskip("sample_factory")
    flags = f"--reward_dir {exported_reward} --llm_reward 0.1 --train_for_env_steps 64"
    flags += " --eps_threshold_quantile 0.5"
    assert train_here(tmp_path, "run", *flags.split()) == 0
    assert (tmp_path / "run" / "episodes.csv").is_file()


# Policy


def watch(run, *flags):
    where = ["--train_dir", str(run.parent), "--experiment", run.name, "--render", "False"]
    with short_games(15):
        return visualize.main(
            [*where, "--num_episodes", "1", "--device", "cpu", "--seed", "3", *flags]
        )


@pytest.mark.nle
def test_a_policy_plays_the_same_game(
    rl_run, exported_reward, exported_policy, monkeypatch, capsys
):
    monkeypatch.chdir(exported_policy.parent.parent)  # where its --reward_dir starts
    outputs = []
    for run in (rl_run, exported_policy):
        assert watch(run) == 0
        outputs.append(capsys.readouterr().out.partition("\n")[2])  # without the run's name
    assert outputs[0] == outputs[1]
    assert "episode 1: 15 steps" in outputs[0]


@pytest.mark.nle
def test_what_made_a_policy(rl_run, exported_policy):
    content = model_file(exported_policy)
    last = max(rl_run.glob("checkpoint_p0/*.pth"))
    assert set(content["files"]) == {"config.json", f"checkpoint_p0/{last.name}"}
    assert content["command"].startswith("python -m scripts.main ")
    assert f"--experiment {rl_run.name}" in content["command"]
    assert "--reward_dir models0/reward_toy" in content["command"]
    assert "--reward_scale 0.1" in content["command"]
    with (rl_run / "episodes.csv").open() as file:
        games = len(file.readlines()) - 1
    figures = content["figures"]
    assert (figures["games"], figures["last_games"]) == (games, -(-games // 5))
    assert figures["env_steps"] >= 200 and 1 <= figures["mean_length"] <= 20
    saved = torch.load(next(exported_policy.rglob("*.pth")), weights_only=True)
    assert saved["optimizer"]["state"] == {}


@pytest.mark.nle
def test_half_precision_halves_it_and_it_still_plays(rl_run, exported_policy, tmp_path, capsys):
    output = tmp_path / "policy"
    reward = ["--reward_dir", "reward", "--half_precision", "True"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        shutil.copytree(exported_policy.parent / "reward_toy", "reward")
        assert export(rl_run, output, *reward) == 0
        assert watch(output) == 0
    whole, half = (next(f.rglob("*.pth")).stat().st_size for f in (exported_policy, output))
    assert half < 0.51 * whole
    assert model_file(output)["weights"] == "float16"
    assert "episode 1:" in capsys.readouterr().out


@pytest.mark.nle
def test_a_policy_is_closed_to_training_but_a_copy_goes_on(
    exported_reward, exported_policy, tmp_path, capfd
):
    before = model_file(exported_policy)
    for behaviour in ("resume", "restart", "overwrite"):
        flags = ["--restart_behavior", behaviour, "--train_for_env_steps", "9999"]
        assert train_here(exported_policy.parent, "policy_toy", *flags) == 2
        assert "policy_toy holds an exported model (model.json)" in capfd.readouterr().err
    assert paths_below(exported_policy) == {"model.json", *before["files"]}
    copy = shutil.copytree(exported_policy, tmp_path / "mine")
    (copy / "model.json").unlink()
    goal = before["figures"]["env_steps"] + 64
    flags = ["--reward_dir", str(exported_reward), "--train_for_env_steps", str(goal)]
    assert train_here(tmp_path, "mine", *flags) == 0
    steps = [int(path.stem.rpartition("_")[2]) for path in copy.glob("checkpoint_p0/*.pth")]
    assert min(steps) == before["figures"]["env_steps"] and max(steps) >= goal
    assert json.loads((copy / "config.json").read_text())["train_dir"] == str(tmp_path)


# What is refused


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert export(tmp_path, tmp_path / "out") == 2
    assert "is no run: neither cfg.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--half_precision True", "--half_precision is for policies"),
        ("--dataset_dir nowhere", "no dataset in nowhere"),
        ("--reward_dir /somewhere", "--reward_dir /somewhere: give it relative to"),
    ],
)
def test_flags_that_do_not_fit_a_reward(reward_folder, tmp_path, capsys, flags, message):
    try:
        status = export(reward_folder, tmp_path / "out", *flags.split())
    except SystemExit as stopped:  # argparse's own errors
        status = stopped.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_imported_reward(reward_folder, tmp_path, capsys):
    content = read_checkpoint(find_checkpoint(reward_folder))
    save_checkpoint(tmp_path / "imported", {**content, "optimizer": None})
    (tmp_path / "imported" / "cfg.json").write_text("{}")
    assert export(tmp_path / "imported", tmp_path / "out") == 2
    assert "was imported and holds nothing but the model already" in capsys.readouterr().err


@pytest.mark.nle
def test_a_policy_needs_the_name_of_its_reward(rl_run, tmp_path, capsys):
    assert export(rl_run, tmp_path / "out") == 2
    assert "export that one too, and name it with --reward_dir" in capsys.readouterr().err
    assert export(rl_run, tmp_path / "out", "--reward_dir", "nowhere") == 2
    assert "no reward folder nowhere" in capsys.readouterr().err


def test_weights_that_float16_cannot_hold():
    assert halved("count", torch.tensor([3])).dtype == torch.int64
    with pytest.raises(CheckpointError, match="core holds weights that float16 cannot"):
        halved("core", torch.tensor([1e6]))

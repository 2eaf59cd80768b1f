"""The learner that trains a bonus: what is paid, what is kept, in which order rollouts come."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bonus_batches import make_bonus, play, settings
from rl_command import env_steps, read_episodes, short_run, train_here
from sample_factory.algo.learning.batcher import SliceMerger
from sample_factory.algo.learning.learner import Learner

from sample_factory_ext.bonus_learner import BonusLearner, InOrder
from sample_factory_ext.player import CheckpointPlayer
from sample_factory_ext.run_folder import BONUS_FIGURES, read_policy_checkpoint

PROGRAM = Path(__file__).with_name("traced_rollouts.py")
ALONE = "--llm_reward 0.0 --extrinsic_reward 0.0 --bonus_reward 0.5 --rnd_features 16 "
ALONE += "--e3b_features 16 --hidden_size 32 "


def learner_of(name):
    """A learner with a bonus, and next to no policy."""
    learner = BonusLearner.__new__(BonusLearner)
    learner.cfg = settings(name, "--bonus_learning_rate", "1e-3")
    learner.bonus = make_bonus(name)
    trained = [each for each in learner.bonus.parameters() if each.requires_grad]
    learner.bonus_optimizer = torch.optim.Adam(trained, lr=1e-3)
    learner.train_step = learner.env_steps = 0
    learner.best_performance, learner.curr_lr = -1e9, 1e-4
    learner.actor_critic = torch.nn.Linear(2, 2)
    learner.optimizer = torch.optim.Adam(learner.actor_critic.parameters())
    return learner


@pytest.mark.parametrize("name", ["rnd", "noveld", "e3b"])
def test_a_resumed_bonus_goes_on_exactly(name):
    whole, file = learner_of(name), io.BytesIO()
    for seed in range(3):
        whole._learn(play(seed=seed))
    torch.save(whole._get_checkpoint_dict(), file)
    file.seek(0)
    resumed = learner_of(name)
    resumed._load_state(torch.load(file, weights_only=True))
    for seed in range(3, 6):
        assert torch.equal(whole._learn(play(seed=seed)), resumed._learn(play(seed=seed)))
    expected = whole.bonus.state_dict()
    assert all(
        torch.equal(value, expected[key]) for key, value in resumed.bonus.state_dict().items()
    )


def test_the_learning_rate_of_the_command_line_holds():
    learner = learner_of("rnd")
    state = learner._get_checkpoint_dict()
    learner.cfg.bonus_learning_rate = 0.5
    learner._load_state(state)
    assert learner.bonus_optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("name", ["rnd", "noveld", "e3b"])
def test_the_bonus_is_added_to_the_rewards_and_reported(name, monkeypatch):
    learner, batch = learner_of(name), play(ends=((1, 20),))
    batch["rewards"] += torch.linspace(-1, 1, 64)
    rewards = batch["rewards"].clone()
    alike = learner_of(name)
    raw = alike.bonus(batch)[0].double()
    bonus = raw / raw.std(correction=0)
    monkeypatch.setattr(Learner, "train", lambda self, batch: {"learnt_from": batch["rewards"]})
    stats = learner.train(batch)
    torch.testing.assert_close(stats["learnt_from"].double(), rewards + bonus, rtol=1e-4, atol=1e-4)
    total = bonus.sum() + rewards.abs().sum()
    figures = bonus.mean(), raw.std(correction=0), bonus.sum() / total
    assert list(stats["bonus"]) == list(BONUS_FIGURES)
    assert list(stats["bonus"].values()) == pytest.approx([float(f) for f in figures], rel=1e-3)
    monkeypatch.setattr(Learner, "train", lambda self, batch: None)  # nothing valid in the batch
    assert learner.train(play()) is None


# In order


def handed_on(merger, events, size):
    """What a merger gives, asked for ``size`` after each of the slices that come."""
    given = []
    for come in events:
        merger.merge_slices(come)
        while merger.total_num >= size:
            left = size
            while left:
                part = merger.get_at_most(left)
                given += range(part.start, part.stop)
                left -= part.stop - part.start
    return given


def test_rollouts_come_in_the_order_of_their_arrival():
    # buffers 4 to 7 are filled first, then 0 to 3, which lie beside them
    events = [slice(4, 8), slice(0, 4), slice(8, 12), slice(12, 13), slice(13, 15)]
    order = [number for come in events for number in range(come.start, come.stop)]
    for size in (1, 2, 3, 5, 15):
        assert handed_on(InOrder(), events, size) == order[: 15 // size * size]
    assert handed_on(SliceMerger(), events, 15) != order  # Sample Factory's own
    merger = InOrder()
    for come in events:
        merger.merge_slices(come)
    taken = [merger.get_at_most(3) for _ in range(8)]
    assert [number for part in taken for number in range(part.start, part.stop)] == order
    assert merger.get_at_most(3) is None and merger.total_num == 0


@pytest.mark.nle
@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["--batched_sampling False", "--batched_sampling True"])
def test_no_step_of_a_game_overtakes_another(tmp_path, sampling):
    """Asynchronously, with more games than a batch has rollouts, and time for a slow worker."""
    flags = "--num_workers 2 --num_envs_per_worker 8 --batch_size 128 --train_for_env_steps 8000 "
    flags += f"{ALONE} {sampling} --bonus noveld --encoder_custom nle_compact_encoder "
    command = [sys.executable, str(PROGRAM), *short_run(tmp_path, "traced", *flags.split())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    seen: dict[int, int] = {}
    files = sorted(tmp_path.glob("batch_*.npy"))
    for trace in map(np.load, files):
        for game, step, _ in trace.reshape(-1, 3):
            if game in seen:  # games that are sampled one by one play some steps unseen first
                assert step in (0, seen[game] + 1)
            seen[game] = step
    assert len(files) >= 15 and len(seen) == 16


# Runs


@pytest.mark.nle
@pytest.mark.parametrize(
    "name, encoder",
    [("rnd", "rgbcrop"), ("noveld", "compact"), ("e3b", "torchbeast"), ("e3b", "compact")],
)
def test_a_policy_is_trained_on_it_alone_and_goes_on(name, encoder, tmp_path, capfd):
    line = f"{ALONE} --bonus {name} --encoder_custom nle_{encoder}_encoder --train_for_env_steps "
    assert train_here(tmp_path, "agent", *line.split(), "128") == 0
    run = tmp_path / "agent"
    assert all(f"{figure}=" in capfd.readouterr().err for figure in BONUS_FIGURES[:1])
    episodes = read_episodes(run)
    assert list(episodes[-1])[-3:] == list(BONUS_FIGURES)
    assert {episode["extrinsic_return"] for episode in episodes} == {0.0}
    assert episodes[-1]["bonus_share"] == 1 and episodes[-1]["bonus_mean"] > 0
    before = read_policy_checkpoint(run)
    trained = env_steps(run)[-1]
    assert before["bonus"]["model"]["deviation.count"] == trained
    assert train_here(tmp_path, "agent", "--train_for_env_steps", str(trained + 64)) == 0
    after = read_policy_checkpoint(run)["bonus"]
    assert after["model"]["deviation.count"] == env_steps(run)[-1] > trained
    assert any(
        not torch.equal(value, after["model"][key])
        for key, value in before["bonus"]["model"].items()
        if "encoder" in key or "predictor" in key
    )
    assert CheckpointPlayer(run).env_steps == env_steps(run)[-1]  # plays without it


@pytest.mark.nle
def test_beside_the_learnt_reward(reward_folder, tmp_path):
    line = f"--llm_reward 0.1 --reward_dir {reward_folder} --eps_threshold_quantile 0 --bonus rnd "
    line += "--bonus_reward 0.01 --rnd_features 16 --hidden_size 32 --train_for_env_steps 256"
    assert train_here(tmp_path, "both", *line.split()) == 0
    last = read_episodes(tmp_path / "both")[-1]
    assert last["intrinsic_return"] != 0 and 0 < last["bonus_share"] < 1


@pytest.mark.nle
def test_another_bonus_is_refused_and_the_run_left_as_it_was(tmp_path, capsys):
    line = f"{ALONE} --bonus rnd --encoder_custom nle_compact_encoder --train_for_env_steps "
    assert train_here(tmp_path, "agent", *line.split(), "64") == 0
    run = tmp_path / "agent"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for flags, change in (
        ("--bonus e3b", "--bonus rnd, not e3b"),
        ("--bonus counts", "--bonus rnd, not counts"),
        ("--bonus= --bonus_reward 0", "--bonus rnd, not none"),
        ("--rnd_features 32", "--rnd_features 16, not 32"),
    ):
        goes_on = ["--train_for_env_steps", "256", "--accept_changes", "True", *flags.split()]
        capsys.readouterr()
        assert train_here(tmp_path, "agent", *goes_on) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith(f"error: {run} was trained with {change}; its checkpoint cannot go")
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    reached = json.loads((run / "config.json").read_text())["bonus"]
    assert reached == "rnd"

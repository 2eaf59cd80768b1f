"""From settings to the training environment: reward model, threshold, summaries, recordings."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from rl_command import short_games

from motif.errors import CheckpointError
from motif.games.nethack.adapter import NetHack
from motif.games.nethack.observations import COMPACT_SPACE
from motif.messages import encode
from motif.reward.checkpoint import load_reward_model
from sample_factory_ext.environment import (
    EpisodeSummary,
    _shared_reward,
    check_reward,
    make_env,
    message_rewards,
)
from sample_factory_ext.parameters import ENVIRONMENT, parse_rl_args
from sample_factory_ext.train import prepare

pytestmark = pytest.mark.nle
QUANTILES = [step / 20 for step in range(1, 20)]


def settings(reward_folder, *flags):
    rewards = ["--llm_reward", "0.1", "--reward_dir", str(reward_folder)]
    return parse_rl_args([*rewards, "--reward_scale", "0.1", "--extrinsic_reward", "0.5", *flags])


def passing(reward_folder, quantile, normalised, value=None):
    """The training messages whose reward is above the threshold."""
    rewards, threshold = _shared_reward(str(reward_folder), 0, (quantile, value), normalised)
    messages = load_reward_model(reward_folder).train_messages
    return {row.tobytes() for row in messages if rewards[row.tobytes()] > threshold}


# The reward model


def test_no_reward_model_without_intrinsic_reward(tmp_path):
    cfg = parse_rl_args(["--llm_reward", "0.0", "--reward_dir", str(tmp_path / "none")])
    check_reward(cfg)


def test_the_rewards_are_the_models_and_training_messages_are_known(reward_folder):
    rewards, threshold = _shared_reward(str(reward_folder), 0, (0.5, None), True)
    loaded = load_reward_model(reward_folder)
    assert threshold == pytest.approx(loaded.quantiles[0.5])
    new = encode("You hear the howling of the CwnAnnwn... \xff")
    expected = loaded.score(np.stack([new, *loaded.train_messages]))
    assert rewards[new.tobytes()] == pytest.approx(expected[0], rel=1e-4, abs=1e-5)

    memo = len(rewards)  # asked once, remembered
    known = [rewards[message.tobytes()] for message in loaded.train_messages]
    assert known == pytest.approx(expected[1:], rel=1e-4, abs=1e-5)
    assert len(rewards) == memo


@pytest.mark.parametrize("quantile", QUANTILES)
def test_the_same_messages_pass_with_and_without_normalisation(reward_folder, quantile):
    above = passing(reward_folder, quantile, True)
    assert passing(reward_folder, quantile, False) == above
    loaded = load_reward_model(reward_folder)
    order = np.sort(loaded.train_rewards.astype(np.float64))
    assert len(above) == (order > np.quantile(order, quantile) + 1e-9).sum()


def test_the_median_message_itself_is_barred(reward_folder):
    messages = load_reward_model(reward_folder).train_messages
    assert len(messages) == 9
    assert len(passing(reward_folder, 0.5, True)) == 4


def test_quantile_0_is_no_threshold(reward_folder):
    assert len(passing(reward_folder, 0, True)) == len(passing(reward_folder, 0, False)) == 9


def test_raw_rewards_are_the_models_output(reward_folder):
    rewards, _ = _shared_reward(str(reward_folder), 0, (0.5, None), False)
    loaded = load_reward_model(reward_folder)
    message = encode("You kill the newt!")
    raw = loaded.model(torch.from_numpy(message)[None]).item()
    assert rewards[message.tobytes()] == pytest.approx(raw, rel=1e-4)


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--eps_threshold_quantile 0.33", r"--eps_threshold_quantile 0\.33: .* stores .* 0\.50"),
        ("--eps_threshold_quantile -0.5", r"--eps_threshold_quantile -0\.5: "),
        ("--encoder_msg_model lt_cnn", "made with --encoder_msg_model lt_cnn_small, not lt_cnn"),
        ("--encoder_hidden_dim 64", "made with --encoder_hidden_dim 512, not 64"),
        ("--checkpoint_num 12345", "--checkpoint_num 12345: .* choose"),
    ],
)
def test_a_reward_model_that_does_not_fit(reward_folder, flags, message):
    with pytest.raises(CheckpointError, match=message):
        check_reward(settings(reward_folder, *flags.split()))


def test_a_threshold_by_value_is_taken_instead_of_a_quantiles(reward_folder):
    cfg = settings(reward_folder, "--eps_threshold_value", "1.25")
    check_reward(cfg)
    _, threshold = message_rewards(cfg)
    assert threshold == 1.25
    above = passing(reward_folder, 0.5, True, value=1.25)
    assert above == passing(reward_folder, 0.33, False, value=1.25)
    assert above < passing(reward_folder, 0.5, True)


def test_a_reward_model_of_the_status_is_refused(reward_folder, monkeypatch):
    loaded = load_reward_model(reward_folder)
    object.__setattr__(loaded, "config", {**loaded.config, "use_blstats": True})
    monkeypatch.setattr("sample_factory_ext.environment.load_reward_model", lambda *a, **k: loaded)
    with pytest.raises(CheckpointError, match="was trained with --use_blstats True"):
        check_reward(settings(reward_folder))


# The environment


def play_episode(env, seed=0):
    rewards, infos = [], []
    env.unwrapped.seed(seed, 1, False)
    rng = np.random.default_rng(seed)
    observation, _ = env.reset()
    assert COMPACT_SPACE.contains(observation)
    while True:
        observation, reward, terminated, truncated, info = env.step(
            rng.integers(env.action_space.n)
        )
        assert COMPACT_SPACE.contains(observation)
        rewards.append(reward)
        infos.append(info)
        if terminated or truncated:
            return rewards, infos


def test_the_summary_adds_up(reward_folder):
    cfg = settings(reward_folder)
    with short_games(60):
        env = make_env(ENVIRONMENT, cfg)
        for seed in range(2):
            rewards, infos = play_episode(env, seed)
            info, extra = infos[-1], infos[-1]["episode_extra_stats"]
            game = [step["extrinsic_reward"] for step in infos]
            scaled = [0.5 * max(-10, min(10, 0.1 * reward)) for reward in game]
            intrinsic = [0.1 * step["intrinsic_reward"] for step in infos]
            assert info["true_objective"] == pytest.approx(sum(game))
            assert extra["extrinsic_return"] == pytest.approx(sum(scaled))
            assert extra["intrinsic_return"] == pytest.approx(sum(intrinsic))
            assert sum(rewards) == pytest.approx(sum(scaled) + sum(intrinsic))
            assert extra["score"] == info["score"]
            assert set(extra) >= {"dlvl", "gold", "xlvl", "scout"}
            assert not any("true_objective" in step for step in infos[:-1])
        env.close()


@pytest.mark.parametrize("exponent, quantile", [(3.0, 0.5), (1.0, 0.2), (0.0, 0.0)])
def test_each_step_pays_the_message_before_it_as_the_settings_say(
    reward_folder, exponent, quantile
):
    flags = f"--beta_count_exponent {exponent} --eps_threshold_quantile {quantile}".split()
    env, counts = make_env(ENVIRONMENT, settings(reward_folder, *flags)), {}
    loaded = load_reward_model(reward_folder)
    threshold = np.float32(loaded.threshold(quantile))
    # The median is one message's reward as training computed it; alone, its last bits differ.
    known = dict(zip(map(bytes, loaded.train_messages), loaded.train_rewards))
    env.unwrapped.seed(1, 2, False)
    rng = np.random.default_rng(0)
    observation, _ = env.reset()
    for _ in range(60):
        message = observation["message"]
        count = counts[message.tobytes()] = counts.get(message.tobytes(), 0) + 1
        reward = known.get(message.tobytes())
        if reward is None:
            reward = loaded.score(message[None])[0]
        expected = reward / count**exponent if reward > threshold else 0.0
        observation, _, terminated, _, info = env.step(rng.integers(env.action_space.n))
        assert info["intrinsic_reward"] == pytest.approx(expected, rel=1e-3, abs=1e-4)
        if terminated:
            break
    assert max(counts.values()) > 2
    env.close()


def test_one_thread_a_process():
    cfg = parse_rl_args(["--device", "cpu"])
    for start in (lambda: make_env(ENVIRONMENT, cfg).close(), lambda: prepare(cfg)):
        torch.set_num_threads(2)
        start()
        assert torch.get_num_threads() == 1


def test_environments_of_a_process_share_one_memo(reward_folder):
    cfg = settings(reward_folder)
    envs = [make_env(ENVIRONMENT, cfg) for _ in range(2)]
    memos = [env.env.env.term.rewards for env in envs]
    assert memos[0] is memos[1]
    for env in envs:
        env.close()


def test_the_task_is_the_one_asked_for(reward_folder):
    env = make_env(ENVIRONMENT, settings(reward_folder, "--root_env", "NetHackOracle-v1"))
    assert env.unwrapped.spec.id == "NetHackOracle-v1"
    env.close()


def test_each_environment_records_into_a_folder_of_its_own(tmp_path):
    save_dir = str(tmp_path / "recordings")
    cfg = parse_rl_args(["--save_ttyrec_every", "1", "--save_dir", save_dir])
    with short_games(5):
        for number in range(2):
            env = make_env(ENVIRONMENT, cfg, env_config={"env_id": number})
            play_episode(env)
            env.close()
    recorded = sorted(path.parent.name for path in tmp_path.rglob("*.ttyrec*.bz2"))
    assert set(recorded) == {"env_00000.0", "env_00001.0"}


def test_a_run_started_again_keeps_the_recordings_of_the_first(tmp_path):
    """NLE names them by process, and in a container a new process has the old one's number."""
    cfg = parse_rl_args(["--save_ttyrec_every", "1", "--save_dir", str(tmp_path)])
    kept = {}
    for start in range(3):
        with short_games(5):
            env = make_env(ENVIRONMENT, cfg, env_config={"env_id": 7})
            play_episode(env)
            env.close()
        recorded = {path: path.read_bytes() for path in tmp_path.rglob("*.ttyrec*.bz2")}
        assert kept.items() <= recorded.items()
        assert {path.parent.name for path in recorded.keys() - kept.keys()} == {
            f"env_00007.{start}"
        }
        kept = recorded


def test_an_environment_that_is_only_looked_at_records_nothing(tmp_path):
    cfg = parse_rl_args(["--save_ttyrec_every", "1", "--save_dir", str(tmp_path)])
    with short_games(5):
        env = make_env(ENVIRONMENT, cfg)
        play_episode(env)
        env.close()
    assert list(tmp_path.iterdir()) == []


def test_summary_of_a_truncated_episode():
    class Truncated(gymnasium.Env):
        def reset(self, **kwargs):
            return None, {}

        def step(self, action):
            info = {
                "extrinsic_reward": 2.0,
                "intrinsic_reward": 3.0,
                "intrinsic_part": 0.3,
                "score": 1,
                "dlvl": 2,
            }
            info |= {"gold": 3, "xlvl": 4, "scout": 5}
            return None, 0.5 * 2 + 0.1 * 3, False, True, info

    env = EpisodeSummary(Truncated(), NetHack.info_columns)
    env.reset()
    info = env.step(0)[4]
    assert info["true_objective"] == 2.0
    assert info["episode_extra_stats"] == {
        "extrinsic_return": pytest.approx(1.0),
        "intrinsic_return": pytest.approx(0.3),
        "score": 1.0,
        "dlvl": 2.0,
        "gold": 3.0,
        "xlvl": 4.0,
        "scout": 5.0,
    }

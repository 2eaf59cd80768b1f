"""The plain path of the benchmarks: rewards and network are those that it is compared to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("sample_factory")

from benchmarks.plain_path import PictureEncoder, plain_env
from motif.games.nethack.observations import COMPACT_SPACE, PICTURE_SPACE
from sample_factory_ext.encoder import PolicyEncoder
from sample_factory_ext.environment import make_env
from sample_factory_ext.parameters import ENVIRONMENT, parse_rl_args

pytestmark = pytest.mark.nle


def play(env, steps=60):
    env.unwrapped.seed(3, 4, False)
    rng = np.random.default_rng(0)
    observations, rewards = [env.reset()[0]], []
    for _ in range(steps):
        observation, reward, *_ = env.step(rng.integers(23))
        observations.append(observation)
        rewards.append(reward)
    env.close()
    keys = observations[0]
    return {key: np.stack([seen[key] for seen in observations]) for key in keys}, rewards


def test_rewards_and_features_are_those_of_training(reward_folder):
    flags = f"--llm_reward 0.1 --reward_dir {reward_folder} --eps_threshold_quantile 0"
    cfg = parse_rl_args([*flags.split(), "--obs_scale", "255.0"])
    seen, rewards = play(make_env(ENVIRONMENT, cfg))
    plain_seen, plain_rewards = play(plain_env(ENVIRONMENT, cfg))
    assert plain_rewards == pytest.approx(rewards, rel=1e-4, abs=1e-5)
    assert len(set(rewards)) > 5

    encoder, plain_encoder = PolicyEncoder(cfg, COMPACT_SPACE), PictureEncoder(cfg, PICTURE_SPACE)
    plain_encoder.load_state_dict(encoder.state_dict())
    features = [
        network(
            {
                key: torch.from_numpy(array).type(network.type_for_input_tensor(key))
                for key, array in arrays.items()
            }
        )
        for network, arrays in ((encoder, seen), (plain_encoder, plain_seen))
    ]
    torch.testing.assert_close(features[1], features[0], rtol=1e-4, atol=1e-5)

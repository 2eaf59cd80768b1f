"""The policy that reads message and status with the reward model's network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from rl_command import env_steps, train_here
from sample_factory.model.actor_critic import create_actor_critic
from torch import nn

from motif.blstats import scale_blstats
from motif.errors import ConfigError
from motif.games.nethack.observations import COMPACT_SPACE
from motif.reward.encoder import EncoderSettings, RewardEncoder
from sample_factory_ext.encoder import MessagePolicyEncoder
from sample_factory_ext.parameters import parse_rl_args
from sample_factory_ext.train import register_components


def make_policy(*flags):
    register_components()
    torch.manual_seed(3)
    cfg = parse_rl_args(["--encoder_custom", "nle_torchbeast_encoder", *flags])
    return create_actor_critic(cfg, COMPACT_SPACE, Discrete(23))


def batch(size=5):
    rng = np.random.default_rng(0)
    return {
        "cells": torch.zeros(size, 12, 12, dtype=torch.int16),
        "blstats": torch.from_numpy(rng.integers(-(10**5), 10**5, (size, 27))),
        "message": torch.from_numpy(rng.integers(0, 256, (size, 256)).astype(np.uint8)),
    }


def test_sizes_are_those_of_the_reward_models_network():
    encoder = make_policy().encoder
    expected = RewardEncoder(EncoderSettings(use_blstats=True))
    shapes = [
        {name: tuple(p.shape) for name, p in network.named_parameters()}
        for network in (encoder.network, expected)
    ]
    assert shapes[0] == shapes[1]
    assert encoder(batch()).shape == (5, encoder.get_out_size()) == (5, 512)
    # message CNN 141,824 · status 3,584 + 16,512 · trunk 256 → 256 → 512: 65,792 + 131,584
    assert sum(p.numel() for p in encoder.parameters()) == 359_296


def test_it_computes_what_the_reward_models_network_does():
    encoder, observation = make_policy().encoder, batch()
    status = torch.from_numpy(scale_blstats(observation["blstats"].numpy()))
    expected = encoder.network(encoder.network.message(observation["message"]), status)
    torch.testing.assert_close(encoder(observation), expected)
    other = {**observation, "blstats": observation["blstats"] * 0}
    assert not torch.allclose(encoder(other), expected)


def test_flags_choose_its_sizes():
    flags = "--encoder_msg_model lt_cnn_small --encoder_hidden_dim 64 --encoder_embedding_dim 16"
    encoder = make_policy(*flags.split()).encoder
    assert encoder.get_out_size() == 64
    assert encoder.network.blstats[0].out_features == 16
    with pytest.raises(ConfigError, match="--encoder_msg_model big: choose one of"):
        MessagePolicyEncoder(parse_rl_args(["--encoder_msg_model", "big"]), COMPACT_SPACE)


def test_linear_layers_are_orthogonal_and_the_rest_keeps_torchs_defaults():
    encoder = make_policy().encoder
    for module in encoder.modules():
        if isinstance(module, nn.Linear):
            rows = (
                module.weight if len(module.weight) <= module.weight.shape[1] else (module.weight.T)
            )
            assert torch.allclose(rows @ rows.T, torch.eye(len(rows)), atol=1e-4)
            assert not module.bias.any()
        elif isinstance(module, nn.Conv1d):
            bound = module.weight[0].numel() ** -0.5
            assert 0 < module.bias.abs().max() <= bound
            assert module.weight.abs().max() <= bound


@pytest.mark.nle
def test_a_policy_of_it_trains(tmp_path):
    flags = "--encoder_custom nle_torchbeast_encoder --encoder_msg_model lt_cnn_small "
    flags += "--llm_reward 0.0 --train_for_env_steps 64"
    assert train_here(tmp_path, "messages", *flags.split()) == 0
    assert env_steps(tmp_path / "messages")[-1] >= 64

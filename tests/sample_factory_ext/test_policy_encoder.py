"""The policy network: shapes, sizes, initialisation, and that it sees the picture of the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from sample_factory.model.actor_critic import create_actor_critic
from torch import nn

from motif.blstats import scale_blstats
from motif.games.nethack.observations import COMPACT_SPACE, draw
from sample_factory_ext.encoder import CONVOLUTIONS, Drawing, PolicyEncoder
from sample_factory_ext.parameters import parse_rl_args
from sample_factory_ext.train import register_components


@pytest.fixture(autouse=True)
def seeded():
    torch.set_num_threads(1)
    torch.manual_seed(3)


def make_policy(*flags):
    register_components()
    cfg = parse_rl_args(["--obs_scale", "255.0", *flags])
    return create_actor_critic(cfg, COMPACT_SPACE, Discrete(23))


def batch(size=5, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "cells": rng.integers(0, 4096, (size, 12, 12)).astype(np.int16),
        "blstats": rng.integers(-(10**5), 10**5, (size, 27)),
        "message": rng.integers(0, 256, (size, 256)).astype(np.uint8),
    }


def tensors(arrays):
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


SHAPES = {
    "picture_net.0.weight": (32, 3, 8, 8),
    "picture_net.0.bias": (32,),
    "picture_net.2.weight": (64, 32, 4, 4),
    "picture_net.2.bias": (64,),
    "picture_net.4.weight": (128, 64, 3, 3),
    "picture_net.4.bias": (128,),
    "picture_net.7.weight": (512, 128 * 3 * 3),
    "picture_net.7.bias": (512,),
    "status_head.0.weight": (128, 27),
    "status_head.0.bias": (128,),
    "status_head.2.weight": (128, 128),
    "status_head.2.bias": (128,),
    "message_head.0.weight": (128, 256),
    "message_head.0.bias": (128,),
    "message_head.2.weight": (128, 128),
    "message_head.2.bias": (128,),
}


def test_shapes_and_sizes_are_the_papers():
    policy = make_policy()
    encoder = policy.encoder
    assert {name: tuple(p.shape) for name, p in encoder.named_parameters()} == SHAPES
    assert encoder.get_out_size() == 795
    assert encoder(tensors(batch())).shape == (5, 795)
    core = {name: tuple(p.shape) for name, p in policy.core.named_parameters()}
    assert core == {
        "core.weight_ih_l0": (3 * 512, 795),
        "core.weight_hh_l0": (3 * 512, 512),
        "core.bias_ih_l0": (3 * 512,),
        "core.bias_hh_l0": (3 * 512,),
    }
    # picture 703,200 · heads 20,096 + 49,408 · GRU 2,010,624 · value 513 · actions 11,799
    assert sum(p.numel() for p in policy.parameters()) == 2_795_640


def test_only_parameters_are_in_a_checkpoint():
    policy = make_policy()
    assert set(policy.state_dict()) == {name for name, _ in policy.named_parameters()}


def test_activations_are_elu_throughout():
    encoder = make_policy().encoder
    kinds = {type(module) for module in encoder.modules() if not list(module.children())}
    assert kinds == {nn.Conv2d, nn.Linear, nn.ELU, nn.Flatten, Drawing}


def is_orthogonal(weight):
    rows = weight if len(weight) <= weight.shape[1] else weight.T
    return torch.allclose(rows @ rows.T, torch.eye(len(rows)), atol=1e-4)


def test_heads_are_orthogonal_with_bias_0():
    policy = make_policy()
    heads = [*policy.encoder.status_head, *policy.encoder.message_head]
    heads += [policy.critic_linear, policy.action_parameterization.distribution_linear]
    linear = [module for module in heads if isinstance(module, nn.Linear)]
    assert len(linear) == 6
    for module in linear:
        assert is_orthogonal(module.weight)
        assert not module.bias.any()


def test_the_picture_net_and_the_gru_keep_torchs_defaults():
    policy = make_policy()
    layers = [m for m in policy.encoder.picture_net if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 4
    for layer in layers:
        # torch draws both uniformly within 1/sqrt(inputs), which has a deviation of bound/sqrt(3)
        bound = layer.weight[0].numel() ** -0.5
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
        assert not is_orthogonal(layer.weight.flatten(1))
        assert 0 < layer.bias.abs().max() <= bound
    for parameter in policy.core.parameters():
        assert 0 < parameter.abs().max() <= 512**-0.5
        assert parameter.std().item() == pytest.approx((3 * 512) ** -0.5, rel=0.1)


def test_the_picture_net_still_goes_where_the_policy_goes():
    encoder = make_policy().encoder.double()
    assert encoder.picture_net[0].weight.dtype == torch.float64


@pytest.mark.parametrize("scale", [255.0, 1.0])
def test_the_drawing_is_the_picture_exactly(scale):
    cells = batch(20)["cells"]
    drawn = Drawing(scale)(torch.from_numpy(cells))
    expected = torch.from_numpy(np.stack([draw(cell) for cell in cells])).float() / scale
    assert drawn.shape == (20, 3, 72, 72)
    assert torch.equal(drawn, expected)
    assert drawn.is_contiguous(memory_format=torch.channels_last)


def test_every_cell_is_drawn_as_itself():
    cells = np.arange(29 * 144, dtype=np.int16).reshape(29, 12, 12) % 4096
    expected = np.stack([draw(cell) for cell in cells]).astype(np.float32)
    assert np.array_equal(Drawing(1.0)(torch.from_numpy(cells)).numpy(), expected)


def test_status_passes_scaled_and_clipped():
    arrays = batch(50)
    features = make_policy().encoder(tensors(arrays))
    status = features[:, 512 + 128 : 512 + 128 + 27].detach().numpy()
    assert np.array_equal(status, scale_blstats(arrays["blstats"]))


def test_the_network_is_the_plain_one():
    """The same weights, layer by layer, on the picture of the paper in its usual layout."""
    encoder, arrays = make_policy().encoder, batch()
    weights = dict(encoder.named_parameters())

    def layer(kind, name, x, **settings):
        function = {"conv": nn.functional.conv2d, "linear": nn.functional.linear}[kind]
        x = function(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **settings)
        return nn.functional.elu(x)

    picture = torch.from_numpy(np.stack([draw(cell) for cell in arrays["cells"]])).float() / 255
    for index, stride in ((0, 4), (2, 2), (4, 2)):
        picture = layer("conv", f"picture_net.{index}", picture, stride=stride)
    picture = layer("linear", "picture_net.7", picture.reshape(5, -1))
    status = torch.from_numpy(scale_blstats(arrays["blstats"]))
    message = torch.from_numpy(arrays["message"] / np.float32(255))
    heads = []
    for name, x in (("status_head", status), ("message_head", message)):
        heads.append(layer("linear", f"{name}.2", layer("linear", f"{name}.0", x)))
    expected = torch.cat([picture, heads[0], status, heads[1]], dim=1)
    torch.testing.assert_close(encoder(tensors(arrays)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "flags, size",
    [
        ("--hidden_size 64", 64 + 283),
        ("--encoder_extra_fc_layers 0", 128 * 3 * 3 + 283),
        ("--encoder_extra_fc_layers 2", 795),
        *((f"--encoder_subtype {name}", 795) for name in CONVOLUTIONS),
    ],
)
def test_other_sizes_fit_together(flags, size):
    policy = make_policy(*flags.split())
    assert policy.encoder.get_out_size() == size
    state = torch.zeros(5, policy.cfg.rnn_size)
    result = policy(tensors(batch()), state)
    assert result["values"].shape == (5,)
    assert result["action_logits"].shape == (5, 23)


def test_integers_travel_as_they_are():
    encoder = PolicyEncoder(parse_rl_args([]), COMPACT_SPACE)
    for key, space in COMPACT_SPACE.spaces.items():
        kind = encoder.type_for_input_tensor(key)
        assert torch.zeros(0, dtype=kind).numpy().dtype == space.dtype

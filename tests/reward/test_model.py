"""The whole reward model: size, initialisation, and that shared encoding changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from motif.messages import encode
from motif.reward.encoder import EncoderSettings
from motif.reward.losses import preference_loss
from motif.reward.model import make_reward_model, side_scores

TEXTS = ("", "You kill the newt!", "It's a wall.", "x" * 200, "\xff\xfe")
MESSAGES_UC = torch.from_numpy(np.stack([encode(text) for text in TEXTS]))


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({}, 306_945),
        ({"use_blstats": True}, 306_945 + (27 * 128 + 128) + (128 * 128 + 128) + 128 * 256),
        ({"encoder_msg_model": "lt_cnn_small"}, 162_721),
        ({"encoder_hidden_dim": 64}, 4_096 + 128 * 32 + 32 + 32 * 64 + 64 + 64 + 1 + 137_728),
    ],
)
def test_number_of_parameters(settings, parameters):
    model = make_reward_model(EncoderSettings(**settings), seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_linear_layers_start_orthogonal_and_the_others_as_torch_makes_them():
    model = make_reward_model(EncoderSettings(use_blstats=True), seed=0)
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert len(linears) == 6
    for linear in linears:
        weight = linear.weight if linear.out_features < linear.in_features else linear.weight.T
        gram = weight @ weight.T
        torch.testing.assert_close(gram, torch.eye(len(gram)), rtol=0, atol=1e-5)
        assert not linear.bias.any()
    convolution = model.encoder.message.convolutions[0]
    bound = (32 * 7) ** -0.5
    assert convolution.bias.abs().max() <= bound and convolution.bias.any()
    assert 0.95 * bound < convolution.weight.abs().max() <= bound
    embedding = model.encoder.message.embedding.weight
    assert not embedding[0].any()
    assert embedding[1:].std().item() == pytest.approx(1, abs=0.02)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = make_reward_model(EncoderSettings(), seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = make_reward_model(EncoderSettings(), seed=3)
    other = make_reward_model(EncoderSettings(), seed=4)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_forward_keeps_the_leading_axes():
    model = make_reward_model(EncoderSettings(), seed=0)
    index_BPT = torch.randint(len(TEXTS), (3, 2, 4))
    rewards_BPT = model(MESSAGES_UC[index_BPT])
    assert rewards_BPT.shape == (3, 2, 4)
    torch.testing.assert_close(rewards_BPT, model(MESSAGES_UC)[index_BPT])


@pytest.mark.parametrize("use_blstats", [False, True])
def test_encoding_distinct_messages_once_gives_the_plain_loss_and_gradient(use_blstats):
    torch.manual_seed(0)
    model = make_reward_model(EncoderSettings(use_blstats=use_blstats), seed=0).double()
    index_BPT = torch.randint(4, (16, 2, 3))  # the last message is not used
    blstats = torch.rand(16, 2, 3, 27, dtype=torch.double) if use_blstats else None
    targets_BP = torch.softmax(torch.randn(16, 2, dtype=torch.double), dim=1)
    losses, gradients = [], []
    for rewards_BPT in (
        model(MESSAGES_UC[index_BPT], blstats),
        model.forward_distinct(MESSAGES_UC, index_BPT, blstats),
    ):
        losses.append(preference_loss(side_scores(rewards_BPT), targets_BP))
        gradients.append(torch.autograd.grad(losses[-1], list(model.parameters())))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-12, atol=0)
    assert any(gradient.any() for gradient in gradients[0])
    for distinct, plain in zip(gradients[1], gradients[0]):
        torch.testing.assert_close(distinct, plain, rtol=0, atol=1e-13)


def test_each_distinct_message_goes_through_the_encoder_once(monkeypatch):
    model = make_reward_model(EncoderSettings(), seed=0)
    encoded = []
    forward = model.encoder.message.forward
    monkeypatch.setattr(
        model.encoder.message, "forward", lambda rows: encoded.append(len(rows)) or forward(rows)
    )
    model.forward_distinct(MESSAGES_UC, torch.tensor([[[0], [2]], [[2], [4]], [[0], [0]]]))
    assert encoded == [3]


def test_the_score_of_a_side_is_the_mean_over_its_steps():
    rewards_BPT = torch.tensor([[[1.0, 2.0, 6.0], [0.0, 0.0, -3.0]]])
    assert side_scores(rewards_BPT).tolist() == [[3.0, -1.0]]

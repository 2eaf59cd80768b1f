"""The encoder against the paper's layers, and its shortcut against the plain network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from motif.errors import ConfigError
from motif.messages import encode
from motif.reward.encoder import MESSAGE_MODELS, EncoderSettings, MessageEncoder, RewardEncoder


def plain_features(encoder, messages_UC):
    """Every layer over all characters, in the order in which the paper's network has them."""
    x = encoder.embedding(messages_UC[:, : encoder.layers.characters].long()).transpose(1, 2)
    for convolution, (_, pooled) in zip(encoder.convolutions, encoder.layers.convolutions):
        x = F.relu(convolution(x))
        if pooled:
            x = F.max_pool1d(x, 3)
    x = x.flatten(1)
    for linear in encoder.linears:
        x = F.relu(linear(x))
    return x


def double_encoder(name):
    torch.manual_seed(0)
    return MessageEncoder(MESSAGE_MODELS[name]).double()


def test_lt_cnn_has_the_layers_of_the_paper():
    encoder = MessageEncoder(MESSAGE_MODELS["lt_cnn"])
    shapes = [tuple(parameter.shape) for parameter in encoder.parameters() if parameter.dim() > 1]
    assert shapes == [(256, 32), (64, 32, 7), (64, 64, 7), *[(64, 64, 3)] * 4, (128, 320)]
    assert encoder(torch.zeros(3, 256, dtype=torch.uint8)).shape == (3, 128)


def test_lt_cnn_small_reads_128_characters():
    encoder = MessageEncoder(MESSAGE_MODELS["lt_cnn_small"])
    shapes = [tuple(parameter.shape) for parameter in encoder.parameters() if parameter.dim() > 1]
    assert shapes == [(256, 16), (32, 16, 7), (32, 32, 7), (32, 32, 3), (32, 96), (32, 32)]
    message = torch.full((1, 256), 65, dtype=torch.uint8)
    changed = message.clone()
    changed[:, 128:] = 66
    assert torch.equal(encoder(message), encoder(changed))
    changed[:, 120] = 66
    assert not torch.equal(encoder(message), encoder(changed))


@pytest.mark.parametrize("name", MESSAGE_MODELS)
def test_cutting_behind_the_last_character_changes_nothing(name):
    """Every length, with a stray byte far behind the text, forward and backward."""
    rng = np.random.default_rng(0)
    messages = np.zeros((258, 256), np.uint8)
    for length in range(257):
        messages[length, :length] = rng.integers(0, 256, length)
    messages[257, 200] = 7
    messages_UC = torch.from_numpy(rng.permutation(messages))
    encoder = double_encoder(name)
    expected, features = plain_features(encoder, messages_UC), encoder(messages_UC)
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-14)
    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weight).sum(), list(encoder.parameters()))
    gradients = torch.autograd.grad((features * weight).sum(), list(encoder.parameters()))
    for gradient, want in zip(gradients, wanted):
        torch.testing.assert_close(gradient, want, rtol=0, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(messages=arrays(np.uint8, (4, 256), elements=st.sampled_from([0, 0, 0, 32, 90, 255])))
def test_padding_inside_a_message_is_no_end(messages):
    encoder, messages_UC = double_encoder("lt_cnn"), torch.from_numpy(messages)
    expected = plain_features(encoder, messages_UC)
    torch.testing.assert_close(encoder(messages_UC), expected, rtol=0, atol=1e-14)


def test_padding_may_have_any_embedding():
    """An imported network need not have zeros there."""
    encoder = double_encoder("lt_cnn")
    torch.nn.init.normal_(encoder.embedding.weight)
    messages_UC = torch.from_numpy(np.stack([encode(text) for text in ("", "a", "b" * 100)]))
    expected = plain_features(encoder, messages_UC)
    torch.testing.assert_close(encoder(messages_UC), expected, rtol=0, atol=1e-13)


def test_bytes_above_ascii_have_an_embedding():
    encoder = MessageEncoder(MESSAGE_MODELS["lt_cnn"])
    high = torch.from_numpy(np.stack([encode("caf\xe9"), encode("caf\xff")]))
    first, second = encoder(high)
    assert not torch.equal(first, second)


def test_the_trunk_takes_blstats_first():
    """The order of the release, so that its weights can be imported."""
    encoder = RewardEncoder(EncoderSettings(use_blstats=True))
    features, blstats = torch.rand(5, 128), torch.rand(5, 27)
    joined = torch.cat([encoder.blstats(blstats), features], dim=1)
    assert joined.shape == (5, 256)
    torch.testing.assert_close(encoder(features, blstats), encoder.trunk(joined))
    with pytest.raises(ValueError, match="reads blstats"):
        encoder(features, None)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"reward_encoder": "resnet"}, "resnet: the only one is nle_torchbeast_encoder"),
        ({"encoder_msg_model": "bert"}, "bert: choose one of lt_cnn, lt_cnn_small"),
        ({"encoder_hidden_dim": 1}, "--encoder_hidden_dim 1: it must be at least 2"),
        ({"encoder_embedding_dim": 0}, "--encoder_embedding_dim 0"),
    ],
)
def test_unknown_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        EncoderSettings(**setting)

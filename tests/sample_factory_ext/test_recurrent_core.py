"""The GRU over packed sequences: outputs and gradients of torch's own."""

from __future__ import annotations

import pytest
import torch
from sample_factory.algo.learning.rnn_utils import build_core_out_from_seq, build_rnn_inputs
from sample_factory.model.core import ModelCoreIdentity, ModelCoreRNN

from sample_factory_ext import recurrent_core
from sample_factory_ext.parameters import parse_rl_args
from sample_factory_ext.recurrent_core import RecurrentCore, make_core

INPUT, ROLLOUT, ROLLOUTS = 13, 8, 6


def cores(*flags):
    cfg = parse_rl_args(["--hidden_size", "10", *flags])
    torch.manual_seed(0)
    ours, theirs = make_core(cfg, INPUT).double(), ModelCoreRNN(cfg, INPUT).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def train(core, ends, width=10):
    """Outputs of sequences as the learner cuts them, and all gradients."""
    generator = torch.Generator().manual_seed(1)
    size = ROLLOUT * ROLLOUTS
    inputs = torch.randn(size, INPUT, generator=generator, dtype=torch.float64)
    inputs.requires_grad_()
    states = torch.randn(size, width, generator=generator, dtype=torch.float64)
    done = (torch.rand(size, generator=generator) < ends).double()
    sequences, first, order = build_rnn_inputs(inputs, done, states, ROLLOUT)
    first = first.detach().requires_grad_()
    outputs = build_core_out_from_seq(core(sequences, first)[0], order)
    outputs.backward(torch.randn(outputs.shape, generator=generator, dtype=torch.float64))
    gradients = {name: p.grad for name, p in core.named_parameters()}
    return {"outputs": outputs, "inputs": inputs.grad, "first": first.grad, **gradients}


@pytest.mark.parametrize("ends", [0.0, 0.2, 1.0])
def test_outputs_and_gradients_are_torchs(ends, monkeypatch):
    ours, theirs = cores()
    expected = train(theirs, ends)
    monkeypatch.setattr(ModelCoreRNN, "forward", None)  # ours goes its own way
    for name, value in train(ours, ends).items():
        torch.testing.assert_close(value, expected[name], msg=name)


@pytest.mark.parametrize("flags, width", [("--rnn_num_layers 2", 20), ("--rnn_type lstm", 20)])
def test_what_is_not_one_gru_is_torchs(flags, width, monkeypatch):
    ours, theirs = cores(*flags.split())
    expected = train(theirs, 0.2, width)
    monkeypatch.setattr(recurrent_core, "_PackedGRU", None)
    for name, value in train(ours, 0.2, width).items():
        torch.testing.assert_close(value, expected[name], msg=name)


def test_one_step_is_torchs_too():
    ours, theirs = cores()
    inputs, states = torch.randn(3, INPUT).double(), torch.randn(3, 10).double()
    for mine, their in zip(ours(inputs, states), theirs(inputs, states)):
        assert torch.equal(mine, their)


def test_the_parameters_are_those_of_torchs_gru():
    ours, theirs = cores()
    assert isinstance(ours, RecurrentCore)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    cfg = parse_rl_args(["--use_rnn", "False"])
    assert isinstance(make_core(cfg, INPUT), ModelCoreIdentity)

"""The small policy: what it sees, what it tells apart, and that it trains, resumes and plays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from rl_command import env_steps, train_here
from sample_factory.model.actor_critic import create_actor_critic

from motif.blstats import scale_blstats
from motif.games.nethack.observations import COMPACT_SPACE
from motif.messages import encode
from sample_factory_ext.compact_encoder import BUCKETS, Cells, MessageGrams
from sample_factory_ext.parameters import parse_rl_args
from sample_factory_ext.player import CheckpointPlayer
from sample_factory_ext.train import register_components

FLAGS = "--encoder_custom nle_compact_encoder --hidden_size 64"


@pytest.fixture(autouse=True)
def seeded():
    torch.set_num_threads(1)
    torch.manual_seed(3)


def make_policy():
    register_components()
    return create_actor_critic(parse_rl_args(FLAGS.split()), COMPACT_SPACE, Discrete(23))


def batch(size=5):
    rng = np.random.default_rng(0)
    return {
        "cells": torch.from_numpy(rng.integers(0, 4096, (size, 12, 12)).astype(np.int16)),
        "blstats": torch.from_numpy(rng.integers(-(10**5), 10**5, (size, 27))),
        "message": torch.from_numpy(rng.integers(0, 256, (size, 256)).astype(np.uint8)),
    }


def messages(*texts):
    return torch.from_numpy(np.stack([encode(text) for text in texts]))


def test_it_is_a_fraction_of_the_papers():
    policy = make_policy()
    assert policy.encoder(batch()).shape == (5, policy.encoder.get_out_size()) == (5, 283)
    # cells 4,352 · convolutions 4,640 + 18,496 · linear 73,856 · status 1,792 · message 266,304
    assert sum(p.numel() for p in policy.encoder.parameters()) == 369_440
    assert set(policy.state_dict()) == {name for name, _ in policy.named_parameters()}


@pytest.mark.parametrize("part", ["cells", "blstats", "message"])
def test_it_sees_every_part(part):
    encoder, seen = make_policy().encoder, batch()
    other = {**seen, part: seen[part].flip(0)}
    assert not torch.allclose(encoder(seen)[0], encoder(other)[0])
    encoder(seen).square().sum().backward()
    assert all(parameter.grad.any() for parameter in encoder.parameters())


def test_each_cell_of_the_crop_reaches_the_features():
    encoder, seen = make_policy().encoder, batch(1)
    before = encoder(seen)
    for place in range(144):
        cells = seen["cells"].clone()
        cells.view(-1)[place] = (cells.view(-1)[place] + 1) % 4096
        assert not torch.equal(encoder({**seen, "cells": cells}), before), place


def test_a_cell_is_its_character_and_its_color():
    cells, layer = batch()["cells"], Cells()
    vectors = layer.character[cells.long() % 256] + layer.color[cells.long() // 256, 0]
    torch.testing.assert_close(layer(cells).permute(0, 2, 3, 1), vectors)


def test_status_passes_scaled_and_clipped():
    seen = batch()
    status = make_policy().encoder(seen)[:, 128 + 64 : 128 + 64 + 27].detach().numpy()
    assert np.array_equal(status, scale_blstats(seen["blstats"].numpy()))


def test_a_message_is_the_sum_of_its_groups_wherever_they_stand():
    layer = MessageGrams()
    texts = ["", "You kill the newt!", "You kill the newt!  ", "newt", "x"]
    together = layer(messages(*texts))
    for text, vector in zip(texts, together):
        codes = [*text.encode("latin-1"), 0, 0]
        sums = [(a * 31 + b) * 31 + c for a, b, c in zip(codes, codes[1:], codes[2:])]
        expected = sum(layer.grams[number % BUCKETS] for number in sums)
        torch.testing.assert_close(vector, torch.zeros(64) + expected)
    assert len(torch.unique(together, dim=0)) == 5
    full = torch.full((1, 256), ord("a"), dtype=torch.uint8)
    group = layer.grams[((97 * 31 + 97) * 31 + 97) % BUCKETS]
    torch.testing.assert_close(layer(full)[0], 254 * group, rtol=1e-4, atol=1e-4)


@pytest.mark.nle
def test_a_policy_of_it_trains_goes_on_and_plays(tmp_path, capsys):
    line = [*FLAGS.split(), "--llm_reward", "0.0", "--train_for_env_steps"]
    assert train_here(tmp_path, "small", *line, "64") == 0
    assert "the agent (nle_compact_encoder) is in" in capsys.readouterr().out
    assert train_here(tmp_path, "small", "--train_for_env_steps", "128") == 0
    assert env_steps(tmp_path / "small")[-1] >= 128
    player = CheckpointPlayer(tmp_path / "small")
    assert player.config.encoder_custom == "nle_compact_encoder"
    seen = {"tty_chars": np.zeros((24, 80)), "tty_colors": np.zeros((24, 80), np.int8)}
    seen |= {"blstats": np.zeros(27, np.int64), "message": np.zeros(256, np.uint8)}
    assert 0 <= player.act(seen) < 23

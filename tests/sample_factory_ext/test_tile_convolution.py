"""The first layer from cells: the values and gradients of drawing and convolving."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from motif.games.nethack.observations import tiles
from sample_factory_ext.encoder import Drawing
from sample_factory_ext.tile_convolution import TileConvolution

SCALE = 255.0
BLANK = ord(" ")


@pytest.fixture
def layer():
    torch.manual_seed(1)
    return nn.Conv2d(3, 32, 8, 4).double()


def tile_convolution():
    return TileConvolution(torch.from_numpy(tiles()).double() / SCALE)


def screens(count=6, blank=0.5, seed=0):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 4096, (count, 12, 12))
    cells[rng.random(cells.shape) < blank] = BLANK
    return torch.from_numpy(cells.astype(np.int16))


def plain(layer, cells):
    return F.elu(layer(Drawing(SCALE).double()(cells)))


@pytest.mark.parametrize("size", [1, 5, 16, 17])
def test_values_are_those_of_the_drawn_picture(layer, size):
    cells = screens()
    ours = tile_convolution()(cells, layer.weight, layer.bias, size)
    assert ours.shape == (6, 32, size, size)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    expected = plain(layer, cells)[:, :, :size, :size]
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)  # Drawing holds float32


@pytest.mark.parametrize("blank", [0.0, 0.7, 1.0])
def test_gradients_are_those_of_the_drawn_picture(layer, blank):
    cells, gradients = screens(blank=blank), []
    gradient = torch.randn(6, 32, 17, 17, dtype=torch.float64)
    for output in (
        plain(layer, cells),
        tile_convolution()(cells, layer.weight, layer.bias, 17),
    ):
        layer.zero_grad()
        output.backward(gradient)
        gradients.append((layer.weight.grad.clone(), layer.bias.grad.clone()))
    for ours, expected in zip(gradients[1], gradients[0]):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    assert gradients[1][1].abs().min() > 0


def test_more_pictures_than_a_chunk(layer):
    layer, cells = layer.float(), screens(40)
    convolve = TileConvolution(torch.from_numpy(tiles()).float() / SCALE)
    expected = F.elu(layer(Drawing(SCALE)(cells)))
    ours = convolve(cells, layer.weight, layer.bias, 17)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_table_follows_the_weights_and_new_cells(layer):
    convolve = tile_convolution()
    with torch.no_grad():
        for seed in range(3):
            cells = screens(2, seed=seed)
            for _ in range(2):
                ours = convolve(cells, layer.weight, layer.bias, 17)
                torch.testing.assert_close(ours, plain(layer, cells), rtol=1e-6, atol=1e-6)
            layer.weight.data += 0.1  # unseen by torch's own count of changes


def test_a_table_without_gradients_is_kept(layer, monkeypatch):
    convolve, cells, made = tile_convolution(), screens(), []
    original = TileConvolution._convolve
    monkeypatch.setattr(
        TileConvolution, "_convolve", lambda self, weight: made.append(0) or original(self, weight)
    )
    with torch.inference_mode():
        for _ in range(3):
            convolve(cells, layer.weight, layer.bias, 16)
    assert len(made) == 1
    convolve(cells, layer.weight, layer.bias, 16)
    assert len(made) == 2


def test_black_screens_give_the_bias_alone(layer):
    cells = torch.zeros(3, 12, 12, dtype=torch.int16)
    output = tile_convolution()(cells, layer.weight, layer.bias, 17)
    expected = F.elu(layer.bias)[None, :, None, None].expand_as(output)
    torch.testing.assert_close(output, expected)

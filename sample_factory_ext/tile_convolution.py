"""The first convolution of the picture, computed from cells without drawing them (on the CPU).

The picture is 12x12 tiles of 6x6 pixels, drawn from few distinct (character, colour) cells, and the
first layer (kernel 8, stride 4) sees at most 2x2 tiles at a time. Its output is therefore a sum of
up to four rows of a table: what each distinct tile gives under each of its 6x6 shifts against the
kernel. The table is itself a convolution (kernel 8, stride 2, padding 6) of the distinct tiles, so
that torch derives the gradient of the weights; summing rows, its gradient and ELU are done here.
Same values as drawing and convolving, up to rounding; black tiles, the most frequent, cost nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from motif.compiled import compiled
from motif.games.nethack.observations import TILE
from motif.types import AnyArray

KERNEL, STRIDE = 8, 4
BLACK, UNSEEN = -1, -2  # rows of tiles that add nothing, or that are not in the table yet
CHUNK = 16  # pictures; their output stays in the cache until ELU is applied


class TileConvolution:
    """ELU of the first layer's convolution.

    Args:
        tiles: (4096, 3, 6, 6) pixels of each cell.
    """

    def __init__(self, tiles: Tensor) -> None:
        self._tiles = tiles
        black = ~tiles.flatten(1).any(1).numpy()
        self._rows = np.where(black, BLACK, UNSEEN).astype(np.int32)  # of the table, by cell
        self._seen = np.zeros(0, np.int64)  # cells in the table, in its order
        self._last: tuple[Tensor, Tensor] | None = None  # weights, and the table made of them

    def __call__(self, cells: Tensor, weight: Tensor, bias: Tensor, size: int) -> Tensor:
        """(B, 12, 12) cells to (B, H, size, size), channels last: the first rows and columns.

        Args:
            cells: int16, on the CPU.
            weight, bias: (H, 3, 8, 8) and (H,).
        """
        index = self._index(cells.numpy())
        table = self._table(weight)
        output: Tensor = _SumTiles.apply(index, table, bias, size)  # type: ignore[no-untyped-call]
        return output.permute(0, 3, 1, 2)

    def _index(self, cells: AnyArray) -> NDArray[np.int32]:
        """The table's row of each cell; cells that are new are added to the table."""
        index = self._rows[cells]
        new = cells[index == UNSEEN]
        if len(new):
            self._seen = np.concatenate([self._seen, np.unique(new)])
            self._rows[self._seen] = np.arange(len(self._seen))
            self._last = None
            index = self._rows[cells]
        return index

    def _table(self, weight: Tensor) -> Tensor:
        """(cells seen, 6, 6, H); kept while the weights are the same and need no gradient."""
        if weight.requires_grad and torch.is_grad_enabled():
            return self._convolve(weight)
        if self._last is None or not torch.equal(self._last[0], weight):
            self._last = weight.detach().clone(), self._convolve(weight.detach())
        return self._last[1]

    def _convolve(self, weight: Tensor) -> Tensor:
        seen = self._seen if len(self._seen) else np.zeros(1, np.int64)  # nothing but black
        drawn = self._tiles[torch.from_numpy(seen)].to(weight.dtype)
        table = F.conv2d(drawn, weight, stride=STRIDE // 2, padding=TILE)
        return table.permute(0, 2, 3, 1).contiguous()


class _SumTiles(torch.autograd.Function):
    """Rows of the table to ELU(bias + their sum), and the gradients of table and bias."""

    @staticmethod
    def forward(ctx: Any, index: AnyArray, table: Tensor, bias: Tensor, size: int) -> Tensor:
        output = table.new_empty(len(index), size, size, len(bias))
        rows, biases = table.detach().numpy(), bias.detach().numpy()
        for start in range(0, len(index), CHUNK):
            chunk = output[start : start + CHUNK]
            _sum_rows(index[start : start + CHUNK], rows, biases, chunk.numpy())
            F.elu_(chunk)
        ctx.index = index
        ctx.save_for_backward(table, output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor, None]:
        table, output = ctx.saved_tensors
        table_gradient = torch.zeros_like(table)
        bias_gradient = table.new_zeros(output.shape[-1])
        arrays = (gradients[0].contiguous(), table_gradient, bias_gradient)
        _add_gradients(ctx.index, output.numpy(), *(array.numpy() for array in arrays))
        return None, table_gradient, bias_gradient, None


@compiled(fastmath={"contract", "nsz"})
def _sum_rows(index: AnyArray, table: AnyArray, bias: AnyArray, output: AnyArray) -> None:
    pictures, size, _, channels = output.shape
    for b in range(pictures):
        for i in range(size):
            top = STRIDE * i // TILE
            for j in range(size):
                left = STRIDE * j // TILE
                for channel in range(channels):
                    output[b, i, j, channel] = bias[channel]
                for row in range(top, top + 2):
                    for column in range(left, left + 2):
                        tile = index[b, row, column]
                        if tile != BLACK:
                            y, x = 2 * i - 3 * row + 3, 2 * j - 3 * column + 3
                            for channel in range(channels):
                                output[b, i, j, channel] += table[tile, y, x, channel]


@compiled(fastmath={"contract", "nsz"})
def _add_gradients(
    index: AnyArray, output: AnyArray, gradient: AnyArray, table: AnyArray, bias: AnyArray
) -> None:
    """ELU's derivative is 1 above 0, and its own value + 1 below."""
    pictures, size, _, channels = output.shape
    inner = np.empty(channels, table.dtype)
    one, zero = table.dtype.type(1), table.dtype.type(0)
    for b in range(pictures):
        for i in range(size):
            top = STRIDE * i // TILE
            for j in range(size):
                left = STRIDE * j // TILE
                for channel in range(channels):
                    slope = one + min(output[b, i, j, channel], zero)
                    inner[channel] = gradient[b, i, j, channel] * slope
                    bias[channel] += inner[channel]
                for row in range(top, top + 2):
                    for column in range(left, left + 2):
                        tile = index[b, row, column]
                        if tile != BLACK:
                            y, x = 2 * i - 3 * row + 3, 2 * j - 3 * column + 3
                            for channel in range(channels):
                                table[tile, y, x, channel] += inner[channel]

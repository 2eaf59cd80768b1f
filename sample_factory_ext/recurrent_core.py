"""The policy's GRU, trained on the CPU with one product per weight instead of one per time step.

The same GRU as torch's, parameters and all. torch multiplies the gradient of each time step with
that step's states, 32 thin products, and adds up; here they are gathered and multiplied once.
Inference, GPUs, several layers and LSTMs go through torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from sample_factory.model.core import ModelCore, ModelCoreIdentity, ModelCoreRNN
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from sample_factory_ext.settings import RLSettings


class RecurrentCore(ModelCoreRNN):
    """Sample Factory's core, which hands sequences to :class:`_PackedGRU` where it can."""

    def forward(self, head_output: Any, rnn_states: Tensor) -> tuple[Any, Tensor]:
        """Outputs and the states after them."""
        simple = self.is_gru and self.rnn_num_layers == 1 and rnn_states.is_cpu
        if not (simple and isinstance(head_output, PackedSequence)):
            result: tuple[Any, Tensor] = super().forward(head_output, rnn_states)
            return result
        data, batch_sizes, order, unsorted = head_output
        states = rnn_states if order is None else rnn_states[order]
        gru = self.core
        weights = gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0
        sizes = batch_sizes.tolist()
        outputs = _PackedGRU.apply(data, states, sizes, *weights)  # type: ignore[no-untyped-call]
        # The learner, the only one with sequences, has no use for the last states.
        return PackedSequence(outputs, batch_sizes, order, unsorted), rnn_states


class _PackedGRU(torch.autograd.Function):
    """Packed inputs (N, I) and initial states (S, H), longest sequence first, to outputs (N, H).

    r, z = σ(input + state parts), n = tanh(input part + r · state part), h' = n + z · (h − n).
    """

    @staticmethod
    def forward(
        ctx: Any,
        data: Tensor,
        states: Tensor,
        sizes: list[int],
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
    ) -> Tensor:
        size = states.shape[1]
        gates = F.linear(data, weight_ih, bias_ih)  # of the inputs; then r, z, n in their place
        before, candidates, outputs = (data.new_empty(len(data), size) for _ in range(3))
        start = 0
        for count in sizes:
            step = slice(start, start + count)
            before[step] = states[:count]
            from_state = F.linear(before[step], weight_hh, bias_hh)
            both = gates[step, : 2 * size].add_(from_state[:, : 2 * size]).sigmoid_()
            reset, update = both[:, :size], both[:, size:]
            candidates[step] = from_state[:, 2 * size :]
            new = gates[step, 2 * size :].addcmul_(reset, candidates[step]).tanh_()
            torch.lerp(new, before[step], update, out=outputs[step])
            states = outputs[step]
            start += count
        ctx.sizes = sizes
        ctx.save_for_backward(data, weight_ih, weight_hh, gates, before, candidates)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        data, weight_ih, weight_hh, gates, before, candidates = ctx.saved_tensors
        size = before.shape[1]
        reset, update, new = gates.split(size, dim=1)
        # What turns the gradient of h' into those of the sums before the gates, and of h.
        to_new = (1 - update) * (1 - new * new)
        to_update = (before - new) * update * (1 - update)
        to_reset = to_new * candidates * reset * (1 - reset)
        from_input = torch.cat((to_reset, to_update, to_new), dim=1)  # factors, then gradients
        from_state = torch.cat((to_reset, to_update, to_new * reset), dim=1)
        carried = gradients[0].new_zeros(0, size)
        start = len(data)
        for count in reversed(ctx.sizes):
            start -= count
            step = slice(start, start + count)
            gradient = gradients[0][step].clone()
            gradient[: len(carried)] += carried
            for factors in (from_input, from_state):
                factors[step].view(count, 3, size).mul_(gradient[:, None])
            carried = torch.addmm(gradient * update[step], from_state[step], weight_hh)
        return (
            from_input @ weight_ih if ctx.needs_input_grad[0] else None,
            carried if ctx.needs_input_grad[1] else None,
            None,
            from_input.T @ data,
            from_state.T @ before,
            from_input.sum(0),
            from_state.sum(0),
        )


def make_core(cfg: RLSettings, input_size: int) -> ModelCore:
    """The factory that Sample Factory calls."""
    return (RecurrentCore if cfg.use_rnn else ModelCoreIdentity)(cfg, input_size)

"""The steps of a GRU on the CPU, with a backward pass of few operations a step.

PyTorch's own loop takes a dozen operations a step and as many nodes of the autograd graph, which
for small layers is most of the time.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch.autograd.function import once_differentiable


def gru_steps(
    projected: torch.Tensor, state: torch.Tensor, recurrent: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Return the states of a GRU that resets after the product with the state.

        z, r = sigmoid(x_z + p_z), sigmoid(x_r + p_r)   with p = h U + b
        h' = z h + (1 - z) tanh(x_h + r p_h)

    Args:
        projected: The inputs x of all gates, of shape (steps, batch, 3 * units), in the order
            update z, reset r, candidate h.
        state: The first state h, of shape (batch, units).
        recurrent: The kernel U, of shape (units, 3 * units).
        bias: Of shape (3 * units,).

    Returns:
        The state after each step, of shape (steps, batch, units).
    """
    return _Steps.apply(projected, state, recurrent, bias)  # type: ignore[no-any-return,no-untyped-call]


@final
class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        projected: torch.Tensor,
        state: torch.Tensor,
        recurrent: torch.Tensor,
        bias: torch.Tensor,
    ) -> torch.Tensor:
        steps, batch, width = projected.shape
        units = width // 3
        # All results are written where the backward pass finds them.
        states = projected.new_empty(steps + 1, batch, units)
        products = torch.empty_like(projected)
        gates = projected.new_empty(steps, batch, 2 * units)
        candidates = projected.new_empty(steps, batch, units)
        states[0] = state
        rows = zip(
            projected[..., : 2 * units].unbind(),
            projected[..., 2 * units :].unbind(),
            products.unbind(),
            products[..., : 2 * units].unbind(),
            products[..., 2 * units :].unbind(),
            gates.unbind(),
            gates[..., :units].unbind(),
            gates[..., units:].unbind(),
            candidates.unbind(),
            states[1:].unbind(),
            strict=True,
        )
        now = states[0]
        for x_gates, x_candidate, p, p_gates, p_candidate, both, update, reset, new, out in rows:
            torch.addmm(bias, now, recurrent, out=p)
            torch.add(x_gates, p_gates, out=both).sigmoid_()
            torch.addcmul(x_candidate, reset, p_candidate, out=new).tanh_()
            now = torch.lerp(new, now, update, out=out)
        ctx.save_for_backward(states, products, gates, candidates, recurrent)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        states, products, gates, candidates, recurrent = ctx.saved_tensors
        steps, batch, units = candidates.shape
        update, reset = gates[..., :units], gates[..., units:]
        # What the gradient of a state is to be multiplied by, for all steps at once; then, step by
        # step, the products themselves: of update, reset, the candidate's product, the candidate.
        parts = products.new_empty(steps, batch, 4, units)
        kept = 1 - update
        torch.mul((states[:-1] - candidates).mul_(update), kept, out=parts[:, :, 0])
        torch.mul(kept, 1 - candidates.square(), out=parts[:, :, 3])
        torch.mul(parts[:, :, 3], reset, out=parts[:, :, 2])
        slope = (1 - reset).mul_(products[..., 2 * units :])
        torch.mul(parts[:, :, 2], slope, out=parts[:, :, 1])
        of_products = parts.view(steps, batch, 4 * units)[..., : 3 * units]
        total = gradient.new_zeros(batch, units)
        wide, transposed = total.unsqueeze(1), recurrent.t()
        rows = list(
            zip(
                gradient.unbind(),
                parts.unbind(),
                of_products.unbind(),
                update.unbind(),
                strict=True,
            )
        )
        for given, part, of_product, gate in reversed(rows):
            total.add_(given)
            part.mul_(wide)
            total.mul_(gate).addmm_(of_product, transposed)
        flat = of_products.reshape(steps * batch, 3 * units)
        of_inputs = torch.cat([of_products[..., : 2 * units], parts[:, :, 3]], -1)
        of_kernel = None
        if ctx.needs_input_grad[2]:
            of_kernel = states[:-1].reshape(steps * batch, units).t() @ flat
        return of_inputs, total, of_kernel, flat.sum(0)

"""The order of axes in memory, which kernels care about and shapes do not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def restride(variable: Any, order: Sequence[int]) -> None:
    """Lay a Keras variable out in memory with its axes in another order.

    Shape, values and the tensor itself stay; a view with the axes in this order is contiguous then.

    Args:
        variable: A Keras variable on the torch backend.
        order: Its axes from the slowest in memory to the fastest.
    """
    tensor = variable._value
    wanted = tensor.data.permute(*order)
    if not wanted.is_contiguous():
        back = [list(order).index(axis) for axis in range(len(order))]
        tensor.data = wanted.contiguous().permute(*back)


def match_layout(tensor: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Return a tensor laid out in memory as another of its shape: itself where it is already.

    Optimizer slots and gradients laid out as their variable are updated in one pass over memory.
    """
    if tensor.stride() == reference.stride():
        return tensor
    # Of a dense reference, empty_like keeps the strides.
    return torch.empty_like(reference, dtype=tensor.dtype).copy_(tensor)

"""Casting as Keras' autocast does, without its scopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


def compute_dtype(layer: Any) -> torch.dtype:
    """Return the dtype that a layer computes in.

    Raises:
        NotLoweredError: It computes in none of the floating dtypes, or casts nothing.
    """
    from slipstream.lowering._rule import NotLoweredError

    if not layer.autocast or layer.compute_dtype not in DTYPES:
        raise NotLoweredError(
            f"it computes in {layer.compute_dtype} with autocast {layer.autocast}"
        )
    return DTYPES[layer.compute_dtype]


def cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a floating tensor in a dtype; others stay as they are."""
    if tensor.dtype == dtype or not tensor.is_floating_point():
        return tensor
    return tensor.to(dtype)


def weight_of(variable: Any, dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    """Return a function that reads a Keras variable in a dtype, gradients flowing through.

    The tensor is read at each call: Keras may replace it, as loading weights does.
    """
    if DTYPES.get(variable.dtype) == dtype:
        return lambda: variable._value
    return lambda: variable._value.to(dtype)


def output_dtype(layer: Any) -> torch.dtype:
    """Return the dtype that a layer without autocast gives its outputs.

    Raises:
        NotLoweredError: It is none of the floating dtypes.
    """
    from slipstream.lowering._rule import NotLoweredError

    if layer.compute_dtype not in DTYPES:
        raise NotLoweredError(f"it computes in {layer.compute_dtype}")
    return DTYPES[layer.compute_dtype]

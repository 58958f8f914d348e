"""Keras' activation functions as native kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import torch
from torch.nn import functional

from slipstream.lowering._rule import NotLoweredError

Activation = Callable[[torch.Tensor], torch.Tensor]


def native_activation(activation: Any) -> Activation | None:
    """Return the native function of a Keras activation, or None where it is the identity.

    Args:
        activation: What a layer's `activation` holds: a function of `keras.activations`, or None.

    Raises:
        NotLoweredError: It is no function of Keras' own that has a native kernel.
    """
    if activation is None or activation is keras.activations.linear:
        return None
    try:
        known = _known().get(activation)
    except TypeError:
        known = None
    if known is None:
        name = getattr(activation, "__name__", type(activation).__name__)
        raise NotLoweredError(f"its activation {name} has no native kernel here")
    return known


def in_place_activation(activation: Any) -> Activation | None:
    """Return an activation that overwrites what a kernel has just computed, where there is one.

    Their gradients need their results alone. They work element by element, on any layout.
    """
    named = keras.activations
    in_place: dict[Any, Activation] = {
        named.relu: torch.relu_,
        named.sigmoid: torch.sigmoid_,
        named.tanh: torch.tanh_,
    }
    return next((fn for known, fn in in_place.items() if known is activation), None)


@cache
def _known() -> dict[Any, Activation]:
    named = keras.activations
    return {
        named.celu: functional.celu,
        named.elu: functional.elu,
        named.exponential: torch.exp,
        # Keras' activation is the exact one; keras.ops.gelu approximates unless told otherwise.
        named.gelu: functional.gelu,
        keras.ops.gelu: _approximate_gelu,
        named.glu: _gated,
        named.hard_shrink: functional.hardshrink,
        named.hard_sigmoid: functional.hardsigmoid,
        named.hard_silu: functional.hardswish,
        named.hard_tanh: functional.hardtanh,
        named.leaky_relu: _leaky,
        named.log_sigmoid: functional.logsigmoid,
        named.log_softmax: _log_softmax,
        named.mish: functional.mish,
        named.relu: torch.relu,
        keras.ops.relu: torch.relu,
        named.relu6: functional.relu6,
        named.selu: functional.selu,
        named.sigmoid: torch.sigmoid,
        keras.ops.sigmoid: torch.sigmoid,
        named.silu: functional.silu,
        keras.ops.silu: functional.silu,
        named.soft_shrink: functional.softshrink,
        named.softmax: _softmax,
        named.softplus: functional.softplus,
        named.softsign: functional.softsign,
        named.squareplus: _squareplus,
        named.tanh: torch.tanh,
        keras.ops.tanh: torch.tanh,
        named.tanh_shrink: functional.tanhshrink,
    }


def _approximate_gelu(tensor: torch.Tensor) -> torch.Tensor:
    return functional.gelu(tensor, approximate="tanh")


def _gated(tensor: torch.Tensor) -> torch.Tensor:
    return functional.glu(tensor, -1)


def _leaky(tensor: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(tensor, 0.2)


def _log_softmax(tensor: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(tensor, -1)


def _softmax(tensor: torch.Tensor) -> torch.Tensor:
    return torch.softmax(tensor, -1)


def _squareplus(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor + torch.sqrt(tensor**2 + 4)) / 2

"""Dense layers as one matrix product with the bias in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch

from slipstream.lowering._activation import in_place_activation, native_activation
from slipstream.lowering._cast import compute_dtype, weight_of
from slipstream.lowering._product import linear
from slipstream.lowering._rule import Call, Rule, Run


def _dense(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    dtype, units = compute_dtype(layer), layer.units
    kernel = weight_of(layer._kernel, dtype)
    bias = None if layer.bias is None else weight_of(layer.bias, dtype)
    activation = native_activation(layer.activation)
    activation = in_place_activation(layer.activation) or activation

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        # Keras' matmul casts integers too.
        x = tensors[index].to(dtype)
        # Flat by hand: what an activation overwrites must not be a view.
        flat = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        y = linear(flat, kernel(), None if bias is None else bias())
        if activation is not None:
            y = activation(y)
        return y if x.ndim == 2 else y.view(*x.shape[:-1], units)

    return run


RULES = (Rule((keras.layers.Dense,), _dense),)

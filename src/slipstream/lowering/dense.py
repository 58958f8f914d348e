"""Dense layers as one matrix product with the bias in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch
from torch.nn import functional

from slipstream.lowering._activation import in_place_activation, native_activation
from slipstream.lowering._cast import compute_dtype, weight_of
from slipstream.lowering._rule import Call, Rule, Run


def _dense(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    dtype = compute_dtype(layer)
    kernel = weight_of(layer._kernel, dtype)
    bias = None if layer.bias is None else weight_of(layer.bias, dtype)
    activation = native_activation(layer.activation)
    activation = in_place_activation(layer.activation) or activation

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        # Keras' matmul casts integers too.
        x = tensors[index].to(dtype)
        if x.ndim == 2 and bias is not None:
            x = torch.addmm(bias(), x, kernel())
        else:
            x = functional.linear(x, kernel().t(), None if bias is None else bias())
        return x if activation is None else activation(x)

    return run


RULES = (Rule((keras.layers.Dense,), _dense),)

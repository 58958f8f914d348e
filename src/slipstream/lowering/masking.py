"""Masking: skipping the steps that hold nothing but one value."""

from __future__ import annotations

from typing import Any

import keras
import torch

from slipstream.lowering._cast import cast, compute_dtype
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run, Tolerance


def _masking(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    dtype, value = compute_dtype(layer), layer.mask_value
    if not isinstance(value, int | float):
        raise NotLoweredError("its value is no plain number")

    def run(tensors: Any, masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        x = cast(tensors[index], dtype)
        # The value is rounded to the dtype of what it is compared with, as Keras does.
        told = x != (x.new_full((), value) if x.is_floating_point() else value)
        kept = told.any(-1, keepdim=True)
        output = torch.where(kept, x, 0)
        output._keras_mask = kept.squeeze(-1)  # type: ignore[attr-defined]
        return output

    return run


RULES = (Rule((keras.layers.Masking,), _masking, Tolerance(0.0, 0.0)),)

"""Layers at the entrance of a model: rescaling, and masks from values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch

from slipstream.lowering._cast import DTYPES, cast, compute_dtype
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run


def _rescaling(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    dtype = DTYPES.get(layer.compute_dtype)
    if dtype is None:
        raise NotLoweredError(f"it computes in {layer.compute_dtype}")
    scale = keras.ops.convert_to_tensor(layer.scale, layer.compute_dtype)
    offset = keras.ops.convert_to_tensor(layer.offset, layer.compute_dtype)
    if scale.ndim and keras.config.image_data_format() == "channels_first":
        raise NotLoweredError("its scale is for channels that come first")

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        return tensors[index].to(dtype) * scale + offset

    return run


def _masking(layer: Any, call: Call) -> Run:
    index = call.only_floating().index
    dtype, value = compute_dtype(layer), layer.mask_value
    if not isinstance(value, int | float):
        raise NotLoweredError("its mask value is no number")

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        x = cast(tensors[index], dtype)
        kept = (x != value).any(-1)
        result = torch.where(kept.unsqueeze(-1), x, 0)
        result._keras_mask = kept  # type: ignore[attr-defined]
        return result

    return run


RULES = (
    Rule((keras.layers.Rescaling,), _rescaling),
    Rule((keras.layers.Masking,), _masking),
)

"""Rescaling of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch

from slipstream.lowering._cast import output_dtype
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run


def _rescaling(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    dtype = output_dtype(layer)
    scale = keras.ops.convert_to_tensor(layer.scale, layer.compute_dtype)
    offset = keras.ops.convert_to_tensor(layer.offset, layer.compute_dtype)
    if scale.ndim and keras.config.image_data_format() == "channels_first":
        raise NotLoweredError("its scale is for channels that come first")

    def run(tensors: Sequence[torch.Tensor], masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        result: torch.Tensor = tensors[index].to(dtype) * scale + offset
        return result

    return run


RULES = (Rule((keras.layers.Rescaling,), _rescaling),)

"""Embedding: rows of a table."""

from __future__ import annotations

from typing import Any

import keras
import torch
from torch.nn import functional

from slipstream.lowering._cast import output_dtype
from slipstream.lowering._rule import Call, Rule, Run, Tolerance


def _embedding(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    dtype, num_rows = output_dtype(layer), layer.input_dim

    def run(tensors: Any, masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        rows = tensors[index]
        if rows.dtype not in (torch.int32, torch.int64):
            rows = rows.to(torch.int32)
        # Negative indices count from the end.
        rows = torch.where(rows < 0, rows + num_rows, rows)
        return functional.embedding(rows, layer._embeddings._value).to(dtype)

    return run


RULES = (Rule((keras.layers.Embedding,), _embedding, Tolerance(1e-6, 1e-2)),)

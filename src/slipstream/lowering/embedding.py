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
        return _look_up(layer._embeddings._value, rows).to(dtype)

    return run


def _look_up(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    if table.is_cuda:
        return functional.embedding(rows, table)
    # The same rows, but the gradient takes half the time.
    return table.index_select(0, rows.flatten()).view(*rows.shape, table.shape[1])


RULES = (Rule((keras.layers.Embedding,), _embedding, Tolerance(1e-6, 1e-2)),)

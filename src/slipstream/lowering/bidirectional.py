"""Bidirectional: one recurrent layer forwards, one backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import torch

from slipstream.lowering._cast import compute_dtype
from slipstream.lowering._registry import lower_layer
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run, Tolerance

MERGES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "concat": lambda one, other: torch.cat([one, other], -1),
    "sum": torch.add,
    "ave": lambda one, other: (one + other) / 2,
    "mul": torch.mul,
}


def _bidirectional(layer: Any, call: Call) -> Run:
    call.only_tensor("initial_state", "mask")
    compute_dtype(layer)
    parts = (layer.forward_layer, layer.backward_layer)
    for part in parts:
        if not isinstance(part, keras.layers.LSTM | keras.layers.GRU | keras.layers.SimpleRNN):
            raise NotLoweredError(f"it wraps a {type(part).__name__}")
        if part.compute_dtype != layer.compute_dtype:
            raise NotLoweredError(f"{part.name} computes in {part.compute_dtype}")
    forwards, backwards = (
        lower_layer(part, one) for part, one in zip(parts, _calls(call), strict=True)
    )
    merge, sequences = MERGES.get(layer.merge_mode), layer.return_sequences

    def run(tensors: Any, masks: Any, training: bool) -> Any:
        one, other = forwards(tensors, masks, training), backwards(tensors, masks, training)
        states: tuple[torch.Tensor, ...] = ()
        if layer.return_state:
            states = (*one[1:], *other[1:])
            one, other = one[0], other[0]
        if sequences:
            other = other.flip(1)
        outputs = (one, other) if merge is None else (merge(one, other),)
        if layer.return_state or merge is None:
            return outputs + states
        return outputs[0]

    return run


def _calls(call: Call) -> tuple[Call, Call]:
    """Return the calls of the two parts, each with its half of the states."""
    states = call.arguments.get("initial_state")
    if states is None:
        return call, call
    if not isinstance(states, list | tuple):
        raise NotLoweredError("its initial state is not a list of tensors")
    half = len(states) // 2
    return tuple(  # type: ignore[return-value]
        Call({**call.arguments, "initial_state": list(part)})
        for part in (states[:half], states[half:])
    )


RULES = (Rule((keras.layers.Bidirectional,), _bidirectional, Tolerance(5e-6, 5e-2)),)

"""MultiHeadAttention and GroupQueryAttention: one product for all projections of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, final

import keras
import torch

from slipstream.lowering._attend import Attend, causal_mask
from slipstream.lowering._cast import compute_dtype
from slipstream.lowering._draw import Dropout
from slipstream.lowering._product import linear
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run, Slot, Tolerance

TENSORS = ("query", "value", "key", "attention_mask")


@dataclass(frozen=True)
class _Heads:
    """What the two layers name differently.

    Args:
        repeats: How many heads of the query share one of key and value.
        scale: Factor of the scores.
        rate: Share of the scores to drop.
        window: How far a query sees, or None.
        has_gate: Whether what is attended to passes a gate.
        strips_masks: Whether the call takes the masks off its inputs, so that later layers do not
            see them.
    """

    repeats: int
    scale: float
    rate: float
    window: int | None
    has_gate: bool
    strips_masks: bool


def _multi_head(layer: Any) -> _Heads:
    if layer._attention_axes != (1,):
        raise NotLoweredError(f"it attends along the axes {layer._attention_axes}")
    scale, rate, window = layer._inverse_sqrt_key_dim, layer._dropout, layer._sliding_window
    return _Heads(1, scale, rate, window, layer._use_gate, strips_masks=True)


def _grouped_query(layer: Any) -> _Heads:
    scale, rate, window = layer._inverse_sqrt_head_dim, layer.dropout, layer.sliding_window
    return _Heads(layer.num_repeats, scale, rate, window, layer.use_gate, strips_masks=False)


@final
class _Projection:
    """An EinsumDense of the layer as a matrix (inputs, outputs) and a row of biases.

    Args:
        dense: The EinsumDense.
        num_inputs: How many axes of its kernel are inputs: one, or heads and their width.
        layer: The layer it belongs to.
    """

    def __init__(self, dense: Any, num_inputs: int, layer: Any) -> None:
        if type(dense) is not keras.layers.EinsumDense or "call" in vars(dense):
            raise NotLoweredError(f"its part {dense.name} is not Keras' own")
        kernel = dense._kernel
        if len(kernel.shape) != 3 or dense.equation.index(",") != num_inputs + 2:
            raise NotLoweredError(f"its part {dense.name} computes {dense.equation}")
        if dense.quantization_mode is not None or dense.lora_enabled:
            raise NotLoweredError(f"its part {dense.name} is quantized or has low-rank adapters")
        if dense.activity_regularizer is not None:
            raise NotLoweredError("it has an activity regularizer")
        if dense.compute_dtype != layer.compute_dtype:
            raise NotLoweredError(f"its part {dense.name} computes in {dense.compute_dtype}")
        self._kernel, self._bias = kernel, dense.bias
        self._first, self._last = (1, 2) if num_inputs == 1 else (0, 1)
        self.output_shape = tuple(kernel.shape[num_inputs:])

    def matrix(self) -> torch.Tensor:
        """Return the kernel, in the dtype of the variable."""
        return self._kernel._value.flatten(self._first, self._last)  # type: ignore[no-any-return]

    def bias(self) -> torch.Tensor | None:
        """Return the bias, in the dtype of the variable."""
        return None if self._bias is None else self._bias._value.flatten()


def _lower(heads_of: Callable[[Any], _Heads], layer: Any, call: Call) -> Run:
    places = _places(call)
    if layer._flash_attention is True:
        raise NotLoweredError("flash_attention is switched on")
    heads, dtype = heads_of(layer), compute_dtype(layer)
    names = ["query", "key", "value"] + ["gate"] * heads.has_gate
    projections = [_Projection(getattr(layer, f"_{name}_dense"), 1, layer) for name in names]
    output = _Projection(layer._output_dense, 2, layer)
    dropout = None
    if heads.rate > 0:
        dropout = Dropout(heads.rate, layer._dropout_layer.seed_generator)
    attend = Attend(heads.scale, dropout)
    is_causal = bool(call.arguments.get("use_causal_mask"))

    def run(tensors: Any, masks: Any, training: bool) -> torch.Tensor:
        query, value = tensors[places["query"]], tensors[places["value"]]
        key = tensors[places["key"]] if "key" in places else value
        mask = _mask(places, tensors, masks, is_causal, heads.window)
        if heads.strips_masks:
            for tensor in (query, value, key):
                # Where Keras casts an input, it takes the mask off the copy.
                if tensor.dtype == dtype and hasattr(tensor, "_keras_mask"):
                    tensor._keras_mask = None
        inputs = [query, key, value, query][: len(projections)]
        q, k, v, *gate = _project(inputs, projections, dtype)
        if heads.repeats > 1:
            k, v = (part.repeat_interleave(heads.repeats, 2) for part in (k, v))
        attended = attend(q, k, v, mask, training, is_causal=is_causal and mask is None)
        if gate:
            attended = attended * torch.sigmoid(gate[0])
        return _project([attended.flatten(2)], [output], dtype)[0]

    return run


def _places(call: Call) -> dict[str, int]:
    """Return where each tensor of a call stands; refuse what is neither tensor nor known."""
    places = {}
    for name, value in call.arguments.items():
        if name in TENSORS and isinstance(value, Slot):
            places[name] = value.index
        elif name == "return_attention_scores" and not value:
            pass
        elif name != "use_causal_mask" or not isinstance(value, bool):
            raise NotLoweredError(f"it is called with {name}")
    return places


def _mask(
    places: Mapping[str, int], tensors: Any, masks: Any, is_causal: bool, window: int | None
) -> torch.Tensor | None:
    """Return what all masks let through, of shape (batch, queries, keys); None if there are none.

    A causal mask alone is left to the kernel.
    """
    parts = []
    if "attention_mask" in places:
        parts.append(tensors[places["attention_mask"]].to(torch.bool))
    if masks[places["query"]] is not None:
        parts.append(masks[places["query"]].to(torch.bool).unsqueeze(-1))
    hung = [masks[places[name]] for name in ("value", "key") if name in places]
    parts += [part.to(torch.bool).unsqueeze(-2) for part in hung if part is not None]
    query, value = tensors[places["query"]], tensors[places["value"]]
    shape = (query.shape[1], value.shape[1])
    if is_causal and (parts or window is not None):
        parts.append(causal_mask(*shape, query.device).unsqueeze(0))
    if window is not None:
        rows, columns = (torch.arange(length, device=query.device) for length in shape)
        parts.append(((rows.unsqueeze(1) - columns).abs() < window).unsqueeze(0))
    return reduce(torch.logical_and, parts) if parts else None


def _project(
    inputs: Sequence[torch.Tensor], projections: Sequence[_Projection], dtype: torch.dtype
) -> list[torch.Tensor]:
    """Return each projection of its input, those of one input by one product."""
    found: dict[int, torch.Tensor] = {}
    for members in _same(inputs):
        matrices = [projections[i].matrix() for i in members]
        biases = [bias for i in members if (bias := projections[i].bias()) is not None]
        kernel = _joined(matrices, 1).to(dtype)
        bias = _joined(biases, 0).to(dtype) if biases else None
        shared = inputs[members[0]].to(dtype)
        together = linear(shared.reshape(-1, shared.shape[-1]), kernel, bias)
        together = together.view(*shared.shape[:-1], kernel.shape[1])
        widths = [matrix.shape[1] for matrix in matrices]
        found |= dict(zip(members, torch.split(together, widths, -1), strict=True))
    return [torch.unflatten(found[i], -1, projections[i].output_shape) for i in range(len(inputs))]


def _same(inputs: Sequence[torch.Tensor]) -> list[list[int]]:
    """Return the positions of each distinct tensor."""
    groups: dict[int, list[int]] = {}
    for i, tensor in enumerate(inputs):
        groups.setdefault(id(tensor), []).append(i)
    return list(groups.values())


def _joined(parts: Sequence[torch.Tensor], axis: int) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), axis)


GROUPED = keras.layers.GroupQueryAttention
RULES = (
    Rule((keras.layers.MultiHeadAttention,), partial(_lower, _multi_head), Tolerance(5e-6, 5e-2)),
    Rule((GROUPED,), partial(_lower, _grouped_query), Tolerance(5e-6, 5e-2)),
)

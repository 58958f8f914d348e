"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from slipstream.lowering._cast import cast, compute_dtype
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run

Tensors = Sequence[torch.Tensor]
Masks = Sequence[torch.Tensor | None]
Merge = Callable[[Tensors, Masks], torch.Tensor]
Pairwise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _merging(merge: Callable[[Any], Merge]) -> Callable[[Any, Call], Run]:
    """Return a rule from what makes a layer's merge of cast tensors and their masks."""

    def lower(layer: Any, call: Call) -> Run:
        slots = call.tensors()
        dtype = compute_dtype(layer)
        if layer._reshape_required:
            raise NotLoweredError("its inputs have different ranks")
        if not all(slot.is_floating for slot in slots):
            raise NotLoweredError("an input does not hold floating numbers")
        merged = merge(layer)
        indices = [slot.index for slot in slots]

        def run(tensors: Tensors, masks: Masks, training: bool) -> torch.Tensor:
            del training
            chosen = [cast(tensors[i], dtype) for i in indices]
            return merged(chosen, [masks[i] for i in indices])

        return run

    return lower


def _sum(tensors: Tensors, masks: Masks) -> torch.Tensor:
    del masks
    first, *others = tensors
    for other in others:
        first = first + other
    return first


def _average(tensors: Tensors, masks: Masks) -> torch.Tensor:
    return _sum(tensors, masks) / len(tensors)


def _difference(tensors: Tensors, masks: Masks) -> torch.Tensor:
    del masks
    return tensors[0] - tensors[1]


def _concatenation(layer: Any) -> Merge:
    axis = layer.axis
    return lambda tensors, _masks: torch.cat(list(tensors), axis)


def _product(tensors: Tensors, masks: Masks) -> torch.Tensor:
    if all(mask is None for mask in masks):
        first, *others = tensors
        for other in others:
            first = first * other
        return first
    return _masked_product(tensors, masks)


def _masked_product(tensors: Tensors, masks: Masks) -> torch.Tensor:
    """Return the product of what is not masked, as Keras' Multiply defines it."""
    product: torch.Tensor | None = None
    wide = [_widened(mask, x) for mask, x in zip(masks, tensors, strict=True)]
    for x, mask in zip(tensors, wide, strict=True):
        kept = x if mask is None else torch.where(mask, x, torch.ones((), dtype=x.dtype))
        product = kept if product is None else product * kept
    assert product is not None
    known = [mask for mask in wide if mask is not None]
    if len(known) == len(tensors):
        either = _any_of(known)
        product = torch.where(either, product, torch.zeros((), dtype=product.dtype))
        product._keras_mask = either.any(-1)  # type: ignore[attr-defined]
    return product


def _extreme(choose: Pairwise) -> Merge:
    """Return the merge of Keras' Maximum and Minimum, which take what is not masked."""

    def merge(tensors: Tensors, masks: Masks) -> torch.Tensor:
        result, *others = tensors
        result_mask = _widened(masks[0], result)
        for x, narrow in zip(others, masks[1:], strict=True):
            mask = _widened(narrow, x)
            other = x if mask is None else torch.where(mask, x, result)
            if result_mask is not None:
                result = torch.where(result_mask, result, other)
            both = mask is not None and result_mask is not None
            result_mask = torch.logical_or(result_mask, mask) if both else None  # type: ignore[arg-type]
            result = choose(result, other)
        if result_mask is not None:
            result._keras_mask = result_mask.any(-1)  # type: ignore[attr-defined]
        return result

    return merge


def _widened(mask: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor | None:
    return None if mask is None else mask.unsqueeze(-1).broadcast_to(tensor.shape)


def _any_of(masks: Sequence[torch.Tensor]) -> torch.Tensor:
    result = masks[0]
    for mask in masks[1:]:
        result = torch.logical_or(result, mask)
    return result


_layers = keras.layers
RULES = (
    Rule((_layers.Add,), _merging(lambda _layer: _sum)),
    Rule((_layers.Subtract,), _merging(lambda _layer: _difference)),
    Rule((_layers.Multiply,), _merging(lambda _layer: _product)),
    Rule((_layers.Average,), _merging(lambda _layer: _average)),
    Rule((_layers.Maximum,), _merging(lambda _layer: _extreme(torch.maximum))),
    Rule((_layers.Minimum,), _merging(lambda _layer: _extreme(torch.minimum))),
    Rule((_layers.Concatenate,), _merging(_concatenation)),
)

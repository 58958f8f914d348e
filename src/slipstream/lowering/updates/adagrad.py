"""Adagrad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from keras.src.backend.torch.optimizers import torch_adagrad

from slipstream.lowering.updates._kernel import Moment, Recipe, Tensors, add_ratio, chosen, tensors


@final
class _Adagrad:
    """s += g^2; w -= rate g / sqrt(s + epsilon)"""

    def __init__(self, optimizer: Any, places: Sequence[int]) -> None:
        self._optimizer = optimizer
        self._sums = chosen(optimizer._accumulators, places)

    def __call__(self, parameters: Tensors, gradients: Tensors, moment: Moment) -> None:
        sums = tensors(self._sums)
        torch._foreach_addcmul_(sums, gradients, gradients)
        roots = torch._foreach_add(sums, self._optimizer.epsilon)
        torch._foreach_sqrt_(roots)
        add_ratio(parameters, gradients, roots, -moment.rate)


RECIPES = {torch_adagrad.Adagrad: Recipe(_Adagrad, slots=("_accumulators",))}

"""Stochastic gradient descent, with momentum and Nesterov's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from keras.src.backend.torch.optimizers import torch_sgd

from slipstream.lowering.updates._kernel import (
    Moment,
    NotNativeError,
    Recipe,
    Tensors,
    add_scaled,
    chosen,
    tensors,
)


@final
class _Sgd:
    """m = momentum m - rate g; w += m, or w += momentum m - rate g as Nesterov has it."""

    def __init__(self, optimizer: Any, places: Sequence[int]) -> None:
        self._optimizer = optimizer
        self._has_slots = len(optimizer.momentums) > 0
        if (optimizer.momentum != 0) != self._has_slots:
            raise NotNativeError("its momentum was changed after it was built")
        self._momentums = chosen(optimizer.momentums, places) if self._has_slots else []

    def __call__(self, parameters: Tensors, gradients: Tensors, moment: Moment) -> None:
        if not self._has_slots:
            add_scaled(parameters, gradients, -moment.rate)
            return
        momentum = self._optimizer.momentum
        momentums = tensors(self._momentums)
        torch._foreach_mul_(momentums, momentum)
        add_scaled(momentums, gradients, -moment.rate)
        if self._optimizer.nesterov:
            add_scaled(parameters, gradients, -moment.rate)
            torch._foreach_add_(parameters, momentums, alpha=momentum)
        else:
            torch._foreach_add_(parameters, momentums)


RECIPES = {torch_sgd.SGD: Recipe(_Sgd, slots=("momentums",))}

"""RMSprop: plain, centered, with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from keras.src.backend.torch.optimizers import torch_rmsprop

from slipstream.lowering.updates._kernel import Moment, Recipe, Tensors, add_ratio, chosen, tensors


@final
class _RmsProp:
    """v = rho v + (1 - rho) g^2; w -= rate g / sqrt(v + epsilon)

    Centered: v less the square of a like mean of g. With momentum: the step is added to a
    momentum, and the momentum is subtracted.
    """

    def __init__(self, optimizer: Any, places: Sequence[int]) -> None:
        self._optimizer = optimizer
        self._squares = chosen(optimizer._velocities, places)
        self._momentums = chosen(optimizer._momentums, places) if optimizer._momentums else []
        means = optimizer._average_gradients
        self._means = chosen(means, places) if means else []

    def __call__(self, parameters: Tensors, gradients: Tensors, moment: Moment) -> None:
        optimizer = self._optimizer
        squares = tensors(self._squares)
        torch._foreach_mul_(squares, optimizer.rho)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1.0 - optimizer.rho)
        roots = torch._foreach_add(squares, optimizer.epsilon)
        if self._means:
            means = tensors(self._means)
            torch._foreach_mul_(means, optimizer.rho)
            torch._foreach_add_(means, gradients, alpha=1.0 - optimizer.rho)
            torch._foreach_addcmul_(roots, means, means, value=-1.0)
        torch._foreach_sqrt_(roots)
        if not self._momentums:
            add_ratio(parameters, gradients, roots, -moment.rate)
            return
        momentums = tensors(self._momentums)
        torch._foreach_mul_(momentums, optimizer.momentum)
        add_ratio(momentums, gradients, roots, moment.rate)
        torch._foreach_sub_(parameters, momentums)


RECIPES = {
    torch_rmsprop.RMSprop: Recipe(
        _RmsProp, slots=("_velocities", "_momentums", "_average_gradients")
    )
}

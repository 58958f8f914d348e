"""Lion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from keras.src.backend.torch.optimizers import torch_lion

from slipstream.lowering.updates._kernel import Moment, Recipe, Tensors, add_scaled, chosen, tensors


@final
class _Lion:
    """w -= rate sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g

    The operations stand in Keras' order: a sign turns on the last bit of what is near zero.
    """

    def __init__(self, optimizer: Any, places: Sequence[int]) -> None:
        self._optimizer = optimizer
        self._momentums = chosen(optimizer._momentums, places)

    def __call__(self, parameters: Tensors, gradients: Tensors, moment: Moment) -> None:
        optimizer = self._optimizer
        momentums = tensors(self._momentums)
        signs = torch._foreach_mul(momentums, optimizer.beta_1)
        torch._foreach_add_(signs, gradients, alpha=1 - optimizer.beta_1)
        torch._foreach_sign_(signs)
        add_scaled(parameters, signs, -moment.rate)
        torch._foreach_mul_(momentums, optimizer.beta_2)
        torch._foreach_add_(momentums, gradients, alpha=1 - optimizer.beta_2)


RECIPES = {torch_lion.Lion: Recipe(_Lion, slots=("_momentums",))}

"""Dynamic loss scaling, as Keras' LossScaleOptimizer does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch

Update = Callable[[list[torch.Tensor | None], float | None], None]


@final
class ScaledUpdate:
    """Divides gradients by the loss scale; skips an update in which one of them overflowed.

    The scale is halved after an overflow, and doubled after `dynamic_growth_steps` updates
    without one.

    Args:
        optimizer: A built LossScaleOptimizer.
        inner: The update of the optimizer within.
    """

    def __init__(self, optimizer: Any, inner: Update) -> None:
        self._optimizer = optimizer
        self._inner = inner

    def __call__(self, gradients: list[torch.Tensor | None], rate: float | None) -> None:
        optimizer = self._optimizer
        scale = optimizer.dynamic_scale._value
        counter = optimizer.step_counter._value
        present = [gradient for gradient in gradients if gradient is not None]
        overflow = torch.zeros((), dtype=torch.float32, device=scale.device)
        if present:
            torch._amp_foreach_non_finite_check_and_unscale_(
                present, overflow, scale.detach().reciprocal()
            )
        if overflow.item():
            counter.zero_()
            scale.mul_(0.5)
            if rate is not None:
                optimizer.learning_rate = rate
            return
        self._inner(gradients, rate)
        if counter.item() == optimizer.dynamic_growth_steps - 1:
            counter.zero_()
            scale.mul_(2.0)
        else:
            counter.add_(1)

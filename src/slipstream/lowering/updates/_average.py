"""The exponential moving average of all variables that Keras' optimizers keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from slipstream.lowering.updates._kernel import Number, add_scaled, tensors


def average_shares(optimizer: Any, step: int) -> tuple[float, float]:
    """Return how much of the averages stays, and how much of the variables is added, in float32.

    Args:
        optimizer: A Keras optimizer with `use_ema`.
        step: Its iterations before this update; the first averages are the variables themselves.
    """
    momentum = np.float32(optimizer.ema_momentum if step else 0.0)
    return float(momentum), float(np.float32(1.0) - momentum)


def update_average(
    optimizer: Any, variables: Sequence[Any], momentum: Number, share: Number
) -> None:
    """Add the variables to their averages: average = momentum average + share w.

    Args:
        optimizer: A Keras optimizer with `use_ema`.
        variables: All variables that it was built for.
        momentum: How much of the averages stays.
        share: How much of the variables is added.
    """
    averages = tensors(optimizer._model_variables_moving_average)
    torch._foreach_mul_(averages, momentum)
    add_scaled(averages, tensors(variables), share)


def overwrites(optimizer: Any, step: int) -> bool:
    """Whether the averages take the place of the variables after the update that follows `step`."""
    frequency = optimizer.ema_overwrite_frequency
    return bool(frequency) and (step + 1) % frequency == 0


def overwrite(optimizer: Any, variables: Sequence[Any]) -> None:
    """Put the averages in the place of the variables."""
    torch._foreach_copy_(tensors(variables), tensors(optimizer._model_variables_moving_average))

"""The exponential moving average of all variables that Keras' optimizers keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from slipstream.lowering._update_kernel import tensors


def update_average(optimizer: Any, variables: Sequence[Any], step: int) -> None:
    """Add the variables to their averages, and overwrite them with these where it is time.

    average = momentum average + (1 - momentum) w; the first one is w itself.

    Args:
        optimizer: A Keras optimizer with `use_ema`.
        variables: All variables that it was built for.
        step: Its iterations before this update.
    """
    values = tensors(variables)
    averages = tensors(optimizer._model_variables_moving_average)
    if step == 0:
        torch._foreach_copy_(averages, values)
    else:
        # Keras computes the other share in float32.
        momentum = np.float32(optimizer.ema_momentum)
        torch._foreach_mul_(averages, float(momentum))
        torch._foreach_add_(averages, values, alpha=float(np.float32(1.0) - momentum))
    frequency = optimizer.ema_overwrite_frequency
    if frequency and (step + 1) % frequency == 0:
        torch._foreach_copy_(values, averages)

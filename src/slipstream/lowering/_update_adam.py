"""Adam and AdamW as one fused kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from keras.src.backend.torch.optimizers import torch_adam, torch_adamw

from slipstream.lowering._update_kernel import Moment, Recipe, Tensors, chosen, tensors


@final
class _Adam:
    """m += (1 - b1) (g - m); v += (1 - b2) (g^2 - v); w -= a_t m / (sqrt(v) + epsilon)

    with a_t = rate sqrt(1 - b2^t) / (1 - b1^t). PyTorch divides v by 1 - b2^t before epsilon is
    added, Keras does not: PyTorch's epsilon is Keras' divided by sqrt(1 - b2^t).
    """

    def __init__(self, optimizer: Any, places: Sequence[int]) -> None:
        self._optimizer = optimizer
        self._means = chosen(optimizer._momentums, places)
        self._squares = chosen(optimizer._velocities, places)
        self._largest = chosen(optimizer._velocity_hats, places) if optimizer.amsgrad else []
        device = self._means[0]._value.device
        self._step = torch.zeros((), dtype=torch.float32, device=device)
        # One number for all: the kernel only reads it.
        self._steps = [self._step] * len(places)

    def __call__(self, parameters: Tensors, gradients: Tensors, moment: Moment) -> None:
        optimizer, step = self._optimizer, moment.step
        beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
        corrected = math.sqrt(1.0 - beta_2**step)
        # What the kernel, which corrects in float64, is to be given to arrive where Keras does.
        rate = _step_size(moment.rate, beta_1, beta_2, step) * (1.0 - beta_1**step) / corrected
        self._step.fill_(step)
        torch._fused_adamw_(
            parameters,
            gradients,
            tensors(self._means),
            tensors(self._squares),
            tensors(self._largest),
            self._steps,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            weight_decay=moment.decay * moment.rate / rate if rate else 0.0,
            eps=optimizer.epsilon / corrected,
            amsgrad=bool(optimizer.amsgrad),
            maximize=False,
            grad_scale=moment.divisor,
            found_inf=None,
        )


def _step_size(rate: float, beta_1: float, beta_2: float, step: int) -> float:
    """Return a_t as Keras rounds it: in float32, where 1 - b2^t has lost digits at first."""
    one, at = np.float32(1.0), np.float32(step)
    corrected = np.sqrt(one - np.float32(beta_2) ** at) / (one - np.float32(beta_1) ** at)
    return float(np.float32(rate) * corrected)


RECIPE = Recipe(_Adam, slots=("_momentums", "_velocities", "_velocity_hats"), folds=True)
RECIPES = {torch_adam.Adam: RECIPE, torch_adamw.AdamW: RECIPE}

"""Adam and AdamW as one fused kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from keras.src.backend.torch.optimizers import torch_adam, torch_adamw

from slipstream.lowering.updates._kernel import Moment, Recipe, Tensors, chosen, tensors

# So many updates that what a decay to their power leaves is nothing: no correction is left either.
LATE = 1e30


@final
class _Adam:
    """m += (1 - b1) (g - m); v += (1 - b2) (g^2 - v); w -= a_t m / (sqrt(v) + epsilon)

    with a_t = rate sqrt(1 - b2^t) / (1 - b1^t). PyTorch corrects m and v before epsilon is added,
    Keras does not: its kernel is told a late update, which it corrects for nothing, and a_t in the
    place of the rate.
    """

    def __init__(self, optimizer: Any, places: Sequence[int]) -> None:
        self._optimizer = optimizer
        self._means = chosen(optimizer._momentums, places)
        self._squares = chosen(optimizer._velocities, places)
        self._largest = chosen(optimizer._velocity_hats, places) if optimizer.amsgrad else []
        late = torch.full((), LATE, dtype=torch.float32, device=self._means[0]._value.device)
        # One number for all: the kernel only reads it.
        self._steps = [late] * len(places)

    def __call__(self, parameters: Tensors, gradients: Tensors, moment: Moment) -> None:
        optimizer, size = self._optimizer, moment.size
        torch._fused_adamw_(
            parameters,
            gradients,
            tensors(self._means),
            tensors(self._squares),
            tensors(self._largest),
            self._steps,
            lr=size,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            # The kernel multiplies it by what it takes for the rate.
            weight_decay=float(moment.decay * moment.rate / size) if moment.decay and size else 0.0,
            eps=optimizer.epsilon,
            amsgrad=bool(optimizer.amsgrad),
            maximize=False,
            grad_scale=moment.divisor,
            found_inf=None,
        )


def _step_size(optimizer: Any, rate: float, step: int) -> float:
    """Return a_t as Keras rounds it: in float32, where 1 - b2^t has lost digits at first."""
    one, at = np.float32(1.0), np.float32(step)
    beta_1, beta_2 = np.float32(optimizer.beta_1), np.float32(optimizer.beta_2)
    return float(np.float32(rate) * (np.sqrt(one - beta_2**at) / (one - beta_1**at)))


RECIPE = Recipe(
    _Adam,
    slots=("_momentums", "_velocities", "_velocity_hats"),
    folds=True,
    size=_step_size,
)
RECIPES = {torch_adam.Adam: RECIPE, torch_adamw.AdamW: RECIPE}

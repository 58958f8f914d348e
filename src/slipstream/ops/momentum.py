"""Optimizers whose momentum is another at each update, as one-cycle has it."""

from __future__ import annotations

from typing import Any, final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


def _momentum_at(momenta: NDArray[np.float64], iterations: Any) -> Any:
    """Return the momentum of the update after `iterations` others; the last lasts for ever."""
    last = ops.minimum(ops.cast(iterations, "int32"), len(momenta) - 1)
    return ops.take(ops.convert_to_tensor(np.asarray(momenta, np.float32)), last)


@final
class CycledSGD(keras.optimizers.SGD):
    """SGD with a momentum for each update: m = b_t m - rate g; w += m, or b_t m - rate g.

    Attributes:
        momenta: The momentum of each update, shape (updates,); None for the same at all of them.

    Example:
        >>> weight = keras.Variable([1.0])
        >>> sgd = CycledSGD(0.1, momentum=0.9)
        >>> sgd.momenta = np.array([0.9, 0.5])
        >>> for _ in range(2):
        ...     sgd.apply([ops.ones(1)], [weight])
        >>> round(float(ops.convert_to_numpy(weight)[0]), 4)
        0.75
    """

    momenta: NDArray[np.float64] | None = None

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        if self.momenta is None:
            super().update_step(gradient, variable, learning_rate)
            return
        # Keras asks whether the momentum is 0, which a number inside a compiled step cannot tell.
        dtype = variable.dtype
        rate, gradient = ops.cast(learning_rate, dtype), ops.cast(gradient, dtype)
        momentum = ops.cast(_momentum_at(self.momenta, self.iterations), dtype)
        slot = self.momentums[self._get_variable_index(variable)]
        moved = slot * momentum - rate * gradient
        self.assign(slot, moved)
        step = moved * momentum - rate * gradient if self.nesterov else moved
        self.assign_add(variable, step)


@final
class CycledAdam(keras.optimizers.Adam):
    """Adam with a beta_1 for each update; its correction of the mean takes beta_1 of the moment.

    Attributes:
        momenta: The beta_1 of each update, shape (updates,); None for the same at all of them.
    """

    momenta: NDArray[np.float64] | None = None

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        fixed: float = self.beta_1  # type: ignore[has-type]
        if self.momenta is not None:
            self.beta_1 = _momentum_at(self.momenta, self.iterations)
        try:
            super().update_step(gradient, variable, learning_rate)
        finally:
            self.beta_1 = fixed

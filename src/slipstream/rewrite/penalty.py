"""Weight penalties on the layers of an existing model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import keras

KERNEL_NAMES = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")


@final
class Penalty:
    """An L2 penalty, l2 * sum(w**2), on every kernel that has no regularizer of its own.

    It belongs to training alone: `lifted` takes it away while the task's own loss is computed.
    """

    def __init__(self, model: Any, l2: float) -> None:
        self._regularizer = keras.regularizers.L2(l2)
        self._kernels = [
            variable
            for variable in model.trainable_variables
            if l2 > 0 and variable.name in KERNEL_NAMES and variable.regularizer is None
        ]
        self._put(self._regularizer)

    @property
    def num_kernels(self) -> int:
        """How many kernels are penalised."""
        return len(self._kernels)

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Take the penalty away for the time of a with block."""
        self._put(None)
        try:
            yield
        finally:
            self._put(self._regularizer)

    def _put(self, regularizer: Any) -> None:
        for kernel in self._kernels:
            kernel.regularizer = regularizer

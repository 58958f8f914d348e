"""Weight penalties on the layers of an existing model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import keras

from slipstream.ops.penalties import PenaltyFactor, ScaledPenalty

KERNEL_NAMES = ("kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")


@final
class Penalty:
    """l1 * sum(|w|) + l2 * sum(w**2) on every kernel that has no regularizer of its own.

    It belongs to training alone: `lifted` takes it away while the task's own loss is computed.

    Args:
        model: A built Keras model; its kernels are penalised from now on.
        l2: Of the squares.
        l1: Of the absolute values.
        scaled: Whether a factor, 1 at first, multiplies it.

    Attributes:
        factor: The factor; None where nothing is scaled.

    Source: Tibshirani, 1996 (doi:10.1111/j.2517-6161.1996.tb02080.x) for l1; Zou and Hastie, 2005
    (doi:10.1111/j.1467-9868.2005.00503.x) for both together.
    """

    def __init__(self, model: Any, l2: float, l1: float = 0.0, *, scaled: bool = False) -> None:
        self._kernels = [
            variable
            for variable in model.trainable_variables
            if (l1 > 0 or l2 > 0) and variable.name in KERNEL_NAMES and variable.regularizer is None
        ]
        self.factor = PenaltyFactor(model) if scaled and self._kernels else None
        self._regularizer = _regularizer(l1, l2, self.factor)
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


def _regularizer(l1: float, l2: float, factor: PenaltyFactor | None) -> Any:
    if factor is not None:
        return ScaledPenalty(l1, l2, factor)
    if l1 > 0 and l2 > 0:
        return keras.regularizers.L1L2(l1, l2)
    return keras.regularizers.L1(l1) if l1 > 0 else keras.regularizers.L2(l2)

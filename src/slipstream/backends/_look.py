"""What is asked of a backend to look into a model without changing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.backends.seeding import random_sources, restore_random_sources
from slipstream.data.splits import Arrays

Values = list[NDArray[np.float32]]


class Looker(Protocol):
    """Computes on the values that a compiled model's variables hold, and leaves all as it was.

    Not fast: for looks between updates, never within them. A gradient is a list with an array for
    each trainable variable, zeros where the loss does not reach it.
    """

    def loss(self, batch: Arrays) -> float:
        """Return the mean loss over a batch, as in inference."""
        ...

    def gradient(
        self, batch: Arrays, *, training: bool, scale: float = 1.0
    ) -> tuple[float, Values]:
        """Return loss and gradient; the loss is multiplied by the scale on the way back."""
        ...

    def hessian_product(self, batch: Arrays, vector: Sequence[NDArray[Any]]) -> Values:
        """Return the loss's Hessian, as in inference, times a vector shaped like the weights.

        Raises whatever the backend raises where it cannot differentiate twice.
        """
        ...

    def outputs(self, model: Any, x: Any, *, training: bool) -> list[NDArray[Any]]:
        """Return the outputs of a model that is made of the layers of the one looked into."""
        ...


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Within it a model may be called as in training; afterwards nothing of that is left.

    Moving averages, seed generators, metrics and the process's random sources are put back.
    """
    variables = [*model.non_trainable_variables, *model.metrics_variables]
    kept = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    sources = random_sources()
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
        restore_random_sources(sources)


def flat(outputs: Any) -> list[Any]:
    """Return what a model returned as a list of tensors.

    Example:
        >>> flat({"a": [1, 2], "b": 3})
        [1, 2, 3]
    """
    return list(keras.tree.flatten(outputs))

"""Pictures of the validation images that a classifier is most wrong about."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.backends import open_looker
from slipstream.data.splits import Data, Split
from slipstream.engine.events import Pictured
from slipstream.errors import PlanError
from slipstream.plan import Plan

# Among so many validation examples, the first ones, it looks for wrong predictions.
MOST_EXAMPLES = 1024


def refuse_other_than_images(plan: Plan, data: Data) -> None:
    """Raise PlanError where wrong predictions are to be shown of what are no labelled images."""
    if plan.monitoring.wrong_images == 0:
        return
    x, y = data.validation.x, data.validation.y
    shapes = f"inputs {_shape(x)}, targets {_shape(y)}"
    images = _is_array(x) and x.ndim == 4 and x.shape[-1] in (1, 3)
    labels = _is_array(y) and y.ndim in (1, 2) and _are_labels(y)
    if not (images and labels):
        raise PlanError(
            "monitoring.wrong_images = 0 for a task without labelled images of shape (height, "
            "width, 1 or 3)",
            f"monitoring.wrong_images = {plan.monitoring.wrong_images} with {shapes}",
            "Set monitoring.wrong_images = 0.",
            code="SLP-146",
        )


class WrongImages:
    """Finds the images that a model is most sure of and wrong about.

    Args:
        model: A compiled, built classifier with one output.
        validation: Where it looks.
        most: How many pictures it returns, at most.
    """

    def __init__(self, model: Any, validation: Split, most: int) -> None:
        self._model = model
        self._looker = open_looker(model, keras.backend.backend())
        few = validation.take(np.arange(min(MOST_EXAMPLES, validation.num_examples)))
        self._x, self._y = np.asarray(few.x), _classes(np.asarray(few.y))
        self._most = most

    def look(self, step: int, epoch: float) -> Pictured:
        """Return the pictures of now, the worst first, each with what it was taken for."""
        (outputs,) = self._looker.outputs(self._model, self._x, training=False)
        shares = shares_of(outputs)
        taken = shares.argmax(axis=1)
        wrong = np.flatnonzero(taken != self._y)
        worst = wrong[np.argsort(-shares[wrong, taken[wrong]], kind="stable")][: self._most]
        captions = tuple(
            f"{self._y[i]} as {taken[i]} ({100 * shares[i, taken[i]]:.0f} %)" for i in worst
        )
        return Pictured(step, epoch, _bytes(self._x, worst), captions, len(wrong), len(self._y))


def shares_of(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of each class, shape (N, classes), from probabilities or logits.

    Example:
        >>> shares_of(np.array([[0.25]])).tolist(), shares_of(np.array([[0.0, 0.0]])).tolist()
        ([[0.75, 0.25]], [[0.5, 0.5]])
    """
    values = outputs.reshape(len(outputs), -1).astype(np.float64)
    if values.shape[1] == 1:
        if values.min() < 0 or values.max() > 1:
            values = 1.0 / (1.0 + np.exp(-values))
        return np.hstack([1.0 - values, values])
    if values.min() >= 0 and np.allclose(values.sum(axis=1), 1.0, atol=1e-2):
        return values
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _classes(y: NDArray[Any]) -> NDArray[np.int64]:
    labels = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.ravel()
    return np.asarray(labels).astype(np.int64)


def _bytes(x: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    low, high = float(x.min()), float(x.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    numbers = (x[chosen].astype(np.float32) - low) * (255.0 / max(high - low, 1e-9))
    return np.asarray(numbers.clip(0, 255).round().astype(np.uint8))


def _is_array(array: Any) -> bool:
    return hasattr(array, "ndim") and hasattr(array, "shape")


def _are_labels(y: Any) -> bool:
    if y.ndim == 2 and y.shape[1] > 1:
        return bool(np.isin(y, (0, 1)).all())
    return bool((y == np.round(y)).all() and (y >= 0).all())


def _shape(arrays: Any) -> str:
    return str(tuple(arrays.shape)) if _is_array(arrays) else type(arrays).__name__

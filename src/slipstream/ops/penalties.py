"""Weight penalties whose factor may change while a model trains, and the rule that changes it."""

from __future__ import annotations

import math
from typing import Any, final

import keras
import numpy as np
from keras import ops


@final
class PenaltyFactor:
    """A number that penalties are multiplied by; a training step reads it anew each time.

    It stands in the model where the states of seed generators stand: compiled steps take those from
    outside, trainings hand them out and take them back, and weights and their files have none.

    Args:
        model: The model whose steps read it.
    """

    def __init__(self, model: Any) -> None:
        self.state = keras.Variable(
            1.0, dtype="float32", trainable=False, autocast=False, name="penalty_factor"
        )
        model._seed_generators.append(self)

    @property
    def value(self) -> float:
        """The number."""
        return float(ops.convert_to_numpy(self.state.value))

    def assign(self, value: float) -> None:
        """Set the number for the steps to come."""
        self.state.assign(value)


@final
@keras.saving.register_keras_serializable("slipstream")
class ScaledPenalty(keras.regularizers.Regularizer):
    """factor * (l1 * sum(|w|) + l2 * sum(w**2)), whatever the factor is by then.

    Args:
        l1: Of the absolute values.
        l2: Of the squares.
        factor: Multiplies both.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> factor = PenaltyFactor(model)
        >>> penalty = ScaledPenalty(0.0, 0.5, factor)
        >>> factor.assign(3.0)
        >>> float(ops.convert_to_numpy(penalty(ops.ones((2, 2)))))
        6.0
    """

    def __init__(self, l1: float, l2: float, factor: PenaltyFactor | None = None) -> None:
        self.l1 = l1
        self.l2 = l2
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        """Return the penalty of a tensor of weights, a scalar."""
        penalty = self.l1 * ops.sum(ops.absolute(x)) + self.l2 * ops.sum(ops.square(x))
        if self.factor is None:
            return penalty
        return penalty * ops.cast(self.factor.state.value, x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds it, with the factor it began with."""
        return {"l1": self.l1, "l2": self.l2}


def loss_gap(loss: float, val_loss: float) -> float:
    """Return by how much the validation loss is larger, as a share of the larger of the two.

    gap = (val_loss - loss) / max(|val_loss|, |loss|)

    Args:
        loss: The loss of training examples, judged like the validation loss.
        val_loss: The validation loss.

    Returns:
        0 where both are equal, 1 where nothing is left of the training loss; for losses above 0
        never more than 1.

    Example:
        >>> loss_gap(0.3, 0.4), loss_gap(0.4, 0.3), loss_gap(0.0, 0.0)
        (0.25000000000000006, -0.25000000000000006, 0.0)
    """
    larger = max(abs(loss), abs(val_loss))
    return (val_loss - loss) / larger if larger else 0.0


def next_factor(factor: float, gap: float, aim: float, step: float, limit: float) -> float:
    """Return the factor on the penalties after an evaluation.

    factor = clip(factor * step ** clip(gap / aim - 1, -1, 1), 1 / limit, limit)

    Args:
        factor: The factor until now.
        gap: What `loss_gap` returned; one that is not finite leaves the factor alone.
        aim: The gap at which the factor stays what it is, above 0.
        step: The largest change at once, above 1: upwards from a gap of twice the aim on,
            downwards from no gap on.
        limit: The largest factor; its inverse is the smallest.

    Example:
        >>> next_factor(1.0, 0.3, 0.1, 2.0, 100.0), next_factor(1.0, -0.5, 0.1, 2.0, 100.0)
        (2.0, 0.5)
        >>> next_factor(80.0, 0.3, 0.1, 2.0, 100.0), next_factor(3.0, 0.1, 0.1, 2.0, 100.0)
        (100.0, 3.0)
    """
    if not math.isfinite(gap):
        return factor
    exponent = min(1.0, max(-1.0, gap / aim - 1.0))
    return float(min(limit, max(1.0 / limit, factor * step**exponent)))


def compared_examples(num_examples: int, count: int, seed: int) -> Any:
    """Return the places of the training examples whose loss is compared with the validation loss.

    Args:
        num_examples: How many training examples there are.
        count: How many to compare; all where there are fewer.
        seed: What the choice follows from.

    Returns:
        Indices of shape (min(count, num_examples),), rising, int64.

    Example:
        >>> compared_examples(3, 5, seed=0).tolist()
        [0, 1, 2]
    """
    random = np.random.Generator(np.random.Philox(key=[seed, 2**40]))
    return np.sort(random.permutation(num_examples)[:count])

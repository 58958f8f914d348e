"""What goes around any update rule: rates by variable, slow weights, averages of snapshots."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
from keras import ops


@dataclass(frozen=True)
class Extras:
    """What an extended optimizer does beyond its rule.

    Args:
        factors: A factor on the learning rate for each variable, by its place; () for none.
        lookahead: Updates between two moves of the slow weights; 0 is off.
        lookahead_share: How much of the way to the fast weights they go.
        first_snapshot: The update, from 1, after which the first snapshot is averaged; 0 is off.
            The optimizer must have use_ema: snapshots take the place of Keras' decaying average.
        snapshot_every: Updates from one snapshot to the next.
    """

    factors: tuple[float, ...] = ()
    lookahead: int = 0
    lookahead_share: float = 0.5
    first_snapshot: int = 0
    snapshot_every: int = 1


@cache
def extended(rule: type) -> type:
    """Return a Keras optimizer class that does what its attribute `extras` says, too.

    Lookahead, every k updates: slow = slow + share * (w - slow);  w = slow
    Snapshots, the n-th: average = (average * (n - 1) + w) / n;  before the first: average = w

    Args:
        rule: A class of Keras optimizers.

    Returns:
        A class derived from it. Set `extras` before it is built.

    Example:
        >>> weights = [keras.Variable([1.0]), keras.Variable([1.0])]
        >>> sgd = extended(keras.optimizers.SGD)(0.5)
        >>> sgd.extras = Extras(factors=(1.0, 0.1))
        >>> sgd.apply([ops.ones(1), ops.ones(1)], weights)
        >>> [round(float(ops.convert_to_numpy(weight)[0]), 4) for weight in weights]
        [0.5, 0.95]

    Source: Zhang et al., 2019, arXiv:1907.08610 (Lookahead); Izmailov et al., 2018,
    arXiv:1803.05407 (snapshots).
    """

    class Extended(rule):
        extras = Extras()

        def build(self, variables: list[Any]) -> None:
            if self.built:
                return
            super().build(variables)
            if self.extras.lookahead:
                self._slow = self.add_optimizer_variables(variables, "slow")
                for slow, variable in zip(self._slow, variables, strict=True):
                    if slow is not None:
                        self.assign(slow, ops.copy(variable))

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * self._factor(variable))

        def _factor(self, variable: Any) -> float:
            factors = self.extras.factors
            return factors[self._get_variable_index(variable)] if factors else 1.0

        def _apply_weight_decay(self, variables: list[Any]) -> None:
            if not self.extras.factors or getattr(self, "decays_inside", False):
                super()._apply_weight_decay(variables)
                return
            for variable in variables:
                if self.weight_decay and self._use_weight_decay(variable):
                    share = self.weight_decay * self._factor(variable)
                    rate = ops.cast(self.learning_rate, variable.dtype)
                    variable.assign(variable - variable * (rate * share))

        def _backend_update_step(
            self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any
        ) -> None:
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            if self.extras.lookahead:
                self._look_ahead(trainable_variables)

        def _look_ahead(self, variables: list[Any]) -> None:
            due = ops.equal((self.iterations + 1) % self.extras.lookahead, 0)
            for variable in variables:
                place = self._slow[self._get_variable_index(variable)]
                slow, fast = place + 0.0, variable + 0.0
                slow = ops.where(due, slow + self.extras.lookahead_share * (fast - slow), slow)
                self.assign(place, slow)
                self.assign(variable, ops.where(due, slow, fast))

        def _update_model_variables_moving_average(self, trainable_variables: list[Any]) -> None:
            first, every = self.extras.first_snapshot, self.extras.snapshot_every
            if not first:
                super()._update_model_variables_moving_average(trainable_variables)
                return
            since = self.iterations + 1 - first
            num_before = ops.cast(since // every, "float32")
            kept = ops.where(ops.equal(since % every, 0), num_before / (num_before + 1.0), 1.0)
            kept = ops.where(since < 0, ops.zeros_like(kept), kept)
            for variable, average in zip(
                trainable_variables, self._model_variables_moving_average, strict=True
            ):
                if average is not None:
                    keep = ops.cast(kept, variable.dtype)
                    average.assign(keep * average + (1.0 - keep) * variable)

    return Extended


def rate_factors(model: Any, layer_decay: float, pattern: str, rate: float) -> tuple[float, ...]:
    """Return a factor on the learning rate for each trainable variable of a model.

    factor = layer_decay ** (matrix layers after its own) * (rate if the pattern is in its path)

    Layers of vectors alone, like normalizations, go with the layer of matrices before them.

    Args:
        model: A built Keras model.
        layer_decay: Factor from a layer to the one before it.
        pattern: Regular expression, found anywhere in a variable's path; "" names none.
        rate: Factor of what it names.

    Example:
        >>> dense = keras.layers.Dense
        >>> net = keras.Sequential([keras.Input((2,)), dense(2, name="one"), dense(1, name="two")])
        >>> rate_factors(net, 0.5, "bias", 0.1)
        (0.5, 0.05, 1.0, 0.1)
    """

    def parts(one: Any) -> list[Any]:
        is_nest = isinstance(one, keras.Model)
        return [part for layer in one.layers for part in parts(layer)] if is_nest else [one]

    depths: dict[int, int] = {}
    depth = -1
    for layer in parts(model):
        new = [v for v in layer.trainable_variables if id(v) not in depths]
        if any(len(variable.shape) > 1 for variable in new):
            depth += 1
        depths |= {id(variable): max(depth, 0) for variable in new}
    return tuple(
        layer_decay ** (max(depth, 0) - depths.get(id(variable), depth))
        * (rate if pattern and re.search(pattern, variable.path) else 1.0)
        for variable in model.trainable_variables
    )

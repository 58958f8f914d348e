"""Optimizers that Keras lacks, or has and computes wrongly on some backend."""

from __future__ import annotations

from typing import Any, final

import keras
from keras import ops

from slipstream.ops.clipping import dense_gradient


@final
@keras.saving.register_keras_serializable("slipstream")
class Lars(keras.optimizers.Optimizer):
    """Layer-wise adaptive rate scaling: momentum with steps in proportion to each weight matrix.

    local = trust * ||w|| / (||g|| + decay * ||w||) for matrices, 1 for vectors;
    m = momentum * m + rate * local * (g + decay * w);  w = w - m

    Weight decay is part of the gradient and of the ratio, not decoupled. A matrix whose weights or
    gradients are all zero takes a step at the rate itself.

    Args:
        learning_rate: Float, or a Keras schedule.
        momentum: Share of the last update kept, from 0 to below 1.
        trust: Share of a matrix's norm that a rate of 1 moves it by.
        others: What every Keras optimizer takes.

    Example:
        >>> weight = keras.Variable([[3.0], [4.0]])
        >>> lars = Lars(1.0, momentum=0.0, trust=0.1)
        >>> lars.apply([ops.convert_to_tensor([[0.0], [2.0]])], [weight])
        >>> ops.convert_to_numpy(weight).tolist()
        [[3.0], [3.5]]

    Source: You, Gitman and Ginsburg, 2017, arXiv:1708.03888.
    """

    # Weight decay is not applied a second time, apart from the gradient.
    decays_inside = True

    def __init__(
        self,
        learning_rate: Any = 1.0,
        momentum: float = 0.9,
        trust: float = 0.02,
        **others: Any,
    ) -> None:
        super().__init__(learning_rate, **others)
        self.momentum = momentum
        self.trust = trust

    def build(self, variables: list[Any]) -> None:
        """Make the momentum of each variable."""
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        momentum = self._momentums[self._get_variable_index(variable)]
        gradient = ops.cast(dense_gradient(gradient, variable), variable.dtype)
        decay = self.weight_decay if self.weight_decay and self._use_weight_decay(variable) else 0.0
        step = ops.cast(learning_rate, variable.dtype)
        if len(variable.shape) > 1:
            weights = ops.sqrt(ops.sum(ops.square(variable)))
            slope = ops.sqrt(ops.sum(ops.square(gradient)))
            known = ops.logical_and(weights > 0, slope > 0)
            divisor = ops.where(known, slope + decay * weights, ops.ones_like(slope))
            step = step * ops.where(known, self.trust * weights / divisor, ops.ones_like(slope))
        self.assign(momentum, self.momentum * momentum + step * (gradient + decay * variable))
        self.assign_sub(variable, momentum)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """Leave the decay to the update."""

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this optimizer."""
        return {**super().get_config(), "momentum": self.momentum, "trust": self.trust}


@final
@keras.saving.register_keras_serializable("slipstream")
class Adafactor(keras.optimizers.Optimizer):
    """Adafactor as published, its means divided by one after the other.

    r = mean of each row of g^2 + 1e-30, c = of each column, averaged with 1 - t^-0.8;
    u = g * sqrt(mean(r) / r) / sqrt(c);  u = u / max(1, rms(u));
    w = w - max(0.001, rms(w)) * min(rate, 1 / sqrt(t)) * u

    Arrays of more dimensions are matrices in their last two; vectors have a mean for each weight.
    Keras 3.15.1's class multiplies r by c first: a row and a column that never had a gradient
    give less than float32 holds, and 0 / 0. It keeps that product in the matrix's full size, too.

    Args:
        learning_rate: Float, or a Keras schedule: a share of the weights' own size.
        others: What every Keras optimizer takes.

    Example:
        >>> weight = keras.Variable([[2.0, 2.0], [2.0, 2.0]])
        >>> adafactor = Adafactor(0.1)
        >>> adafactor.apply([ops.convert_to_tensor([[0.0, 0.0], [0.0, 3.0]])], [weight])
        >>> [[round(w, 4) for w in row] for row in ops.convert_to_numpy(weight).tolist()]
        [[2.0, 2.0], [2.0, 1.8]]

    Source: Shazeer and Stern, 2018, arXiv:1804.04235, algorithms 4 to 6.
    """

    def __init__(self, learning_rate: Any = 0.01, **others: Any) -> None:
        super().__init__(learning_rate, **others)

    def build(self, variables: list[Any]) -> None:
        """Make a mean for each row and column of a matrix, and for each weight of a vector."""
        if self.built:
            return
        super().build(variables)
        self._means = [self._means_of(variable) for variable in variables]

    def _means_of(self, variable: Any) -> list[Any]:
        shape = tuple(variable.shape)
        shapes = [(*shape[:-1], 1), (*shape[:-2], 1, shape[-1])] if len(shape) > 1 else [shape]
        names = ["rows", "columns"] if len(shape) > 1 else ["squares"]
        return [
            self.add_variable(each, dtype=variable.dtype, name=f"{variable.name}_{name}")
            for each, name in zip(shapes, names, strict=True)
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        dtype = variable.dtype
        gradient = ops.cast(dense_gradient(gradient, variable), dtype)
        count = ops.cast(self.iterations + 1, dtype)
        means, new = self._means[self._get_variable_index(variable)], ops.power(count, -0.8)
        squares = ops.square(gradient) + 1e-30
        if len(means) == 1:
            step = gradient / ops.sqrt(self._moved(means[0], squares, new))
        else:
            rows = self._moved(means[0], ops.mean(squares, axis=-1, keepdims=True), new)
            columns = self._moved(means[1], ops.mean(squares, axis=-2, keepdims=True), new)
            whole = ops.mean(rows, axis=-2, keepdims=True)
            # Roots first: a product of two small means is less than a float32 holds.
            step = gradient * (ops.sqrt(whole) / ops.sqrt(rows)) / ops.sqrt(columns)
        size = ops.sqrt(ops.mean(ops.square(variable)))
        length = ops.sqrt(ops.mean(ops.square(step)))
        rate = ops.minimum(ops.cast(learning_rate, dtype), 1.0 / ops.sqrt(count))
        rate = rate * ops.maximum(size, 1e-3) / ops.maximum(length, 1.0)
        self.assign_sub(variable, rate * step)

    def _moved(self, mean: Any, value: Any, new: Any) -> Any:
        """Move a running mean towards a value; returns it."""
        value = (1.0 - new) * mean + new * value
        self.assign(mean, value)
        return value


@final
@keras.saving.register_keras_serializable("slipstream")
class ScheduleFreeAdamW(keras.optimizers.Optimizer):
    """Schedule-Free AdamW as published, on every backend.

    z = z - rate * (g(y) / (sqrt(v_hat) + epsilon) + decay * y);  c = rate^2 / sum of all rate^2;
    x = (1 - c) * x + c * z;  y = (1 - beta_1) * z + beta_1 * x

    The model's weights are y while it trains; x is what is to be judged and kept. Keras 3.15.1's
    class reads z after it has moved where assigning changes a value in place (TensorFlow and
    PyTorch), lets y decay where the paper lets z, and gives the steps of a warm-up full weight.

    Args:
        learning_rate: Float, or a Keras schedule: a warm-up.
        beta_1: Where between z and x gradients are taken, above 0 and below 1.
        beta_2: Decay of the mean square.
        epsilon: Added to the denominator.
        others: What every Keras optimizer takes.

    Example:
        >>> weight = keras.Variable([1.0])
        >>> free = ScheduleFreeAdamW(0.5, epsilon=1e-12)
        >>> free.apply([ops.convert_to_tensor([3.0])], [weight])
        >>> round(float(ops.convert_to_numpy(weight)[0]), 4)
        0.5

    Source: Defazio et al., 2024, "The Road Less Scheduled" (arXiv:2405.15682), algorithm 1.
    """

    decays_inside = True

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **others: Any,
    ) -> None:
        super().__init__(learning_rate, **others)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables: list[Any]) -> None:
        """Make z, which starts at the weights, and the mean square of each variable."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        for momentum, variable in zip(self._momentums, variables, strict=True):
            if momentum is not None:
                self.assign(momentum, ops.copy(variable))
        self._rate_squares = self.add_variable((), name="rate_squares")

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        # Once for all variables of an update.
        self.assign_add(self._rate_squares, ops.square(ops.cast(learning_rate, "float32")))
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        place = self._get_variable_index(variable)
        dtype = variable.dtype
        gradient = ops.cast(dense_gradient(gradient, variable), dtype)
        rate = ops.cast(learning_rate, dtype)
        count = ops.cast(self.iterations + 1, dtype)
        # Sums make new tensors: nothing below reads a variable that has been assigned to.
        z, v = self._momentums[place] + 0.0, self._velocities[place] + 0.0
        y = variable + 0.0
        x = (y - (1.0 - self.beta_1) * z) / self.beta_1
        v = self.beta_2 * v + (1.0 - self.beta_2) * ops.square(gradient)
        v_hat = v / (1.0 - ops.power(ops.cast(self.beta_2, dtype), count))
        step = gradient / (ops.sqrt(v_hat) + self.epsilon)
        if self.weight_decay and self._use_weight_decay(variable):
            step = step + self.weight_decay * y
        z = z - rate * step
        share = ops.cast(self._share_of_this_update(), dtype)
        x = (1.0 - share) * x + share * z
        self.assign(self._velocities[place], v)
        self.assign(self._momentums[place], z)
        self.assign(variable, (1.0 - self.beta_1) * z + self.beta_1 * x)

    def _share_of_this_update(self) -> Any:
        """Return rate^2 over the sum of all of them: 1 / count where the rate is constant."""
        # The rate of the whole update, whatever factor a variable has on it.
        square = ops.square(ops.cast(self.learning_rate, "float32"))
        tiny = ops.convert_to_tensor(1e-30, dtype="float32")
        return square / ops.maximum(self._rate_squares + 0.0, tiny)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """Leave the decay to the update."""

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this optimizer."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }

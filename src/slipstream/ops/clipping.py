"""Bounds on the gradient that Keras lacks, and what is noted of every bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from keras import ops

from slipstream.plan import parts

# Units whose weights are near zero could never leave it otherwise.
SMALLEST_NORM = 1e-3


def global_norm(gradients: Sequence[Any]) -> Any:
    """Return the norm of all gradients together.

    Example:
        >>> float(global_norm([ops.array([3.0]), ops.array([[4.0]])]))
        5.0
    """
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients))


def clip_units(gradients: Sequence[Any], variables: Sequence[Any], bound: float) -> list[Any]:
    """Keep the gradient of each unit in proportion to the unit's weights.

    g_u = g_u * min(1, bound * max(norm(w_u), 0.001) / norm(g_u))

    A unit is what is summed into one output: a column of a matrix, a filter of a convolution, one
    channel's filter where they are depthwise; a vector of biases or scales is one unit.

    Args:
        gradients: One for each variable.
        variables: Keras variables.
        bound: Largest share of the weights' norm.

    Returns:
        The gradients, clipped.

    Source: Brock et al., 2021, arXiv:2102.06171.

    Example:
        >>> import keras
        >>> weights = keras.Variable([[0.0, 0.0], [4.0, 0.5]])
        >>> (clipped,) = clip_units([ops.array([[0.0, 0.0], [2.0, 2.0]])], [weights], 0.25)
        >>> ops.convert_to_numpy(clipped).tolist()
        [[0.0, 0.0], [1.0, 0.125]]
    """
    return [
        gradient * _unit_factors(gradient, variable, bound)
        for gradient, variable in zip(gradients, variables, strict=True)
    ]


def _unit_factors(gradient: Any, variable: Any, bound: float) -> Any:
    axes = unit_axes(variable)
    weights = ops.sqrt(ops.sum(ops.square(variable), axis=axes, keepdims=True))
    slope = ops.sqrt(ops.sum(ops.square(gradient), axis=axes, keepdims=True))
    largest = bound * ops.maximum(weights, SMALLEST_NORM)
    return largest / ops.maximum(slope, largest)


def unit_axes(variable: Any) -> tuple[int, ...]:
    """Return the axes over which the norm of one unit is taken.

    Example:
        >>> import keras
        >>> unit_axes(keras.Variable(ops.zeros((3, 3, 8, 16))))
        (0, 1, 2)
    """
    num_axes = len(variable.shape)
    if num_axes < 2:
        return tuple(range(num_axes))
    kept = 2 if variable.name == "depthwise_kernel" else 1
    return tuple(range(num_axes - kept))


@final
class ClipWatch:
    """Clips gradients where Keras has no such bound, and notes what every bound does.

    It stands before the optimizer's own clipping, which bounds by value, norm and global norm. Its
    state is in the optimizer's variables: saved, restored and carried through compiled steps as
    these are.

    Args:
        optimizer: A Keras optimizer, not yet used.
        clipping: The bounds of a plan, one of them above 0.
        spared: Variables that the adaptive bound leaves alone.

    Attributes:
        totals: A variable of shape (3,): updates since the last `read`, how many of them were
            clipped, and the sum of their norms before that.
    """

    def __init__(
        self, optimizer: Any, clipping: parts.Clipping, spared: Sequence[Any] = ()
    ) -> None:
        self._clipping = clipping
        self._spared = {id(variable) for variable in spared}
        self.totals = optimizer.add_variable((3,), dtype="float32", name="clip_totals")
        if clipping.quantile:
            self._norms = optimizer.add_variable(
                (clipping.window,), dtype="float32", name="last_norms"
            )
            self._seen = optimizer.add_variable((), dtype="float32", name="num_norms")
        apply = optimizer._backend_apply_gradients

        def clipped(grads: list[Any], trainable_variables: list[Any]) -> None:
            apply(self(grads, trainable_variables), trainable_variables)

        optimizer._backend_apply_gradients = clipped
        optimizer.clip_watch = self

    def __call__(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """Return the gradients as the optimizer is to have them, and take note of them."""
        gradients = [dense_gradient(g, v) for g, v in zip(gradients, variables, strict=True)]
        norm = global_norm(gradients)
        clipping = self._clipping
        if clipping.adaptive:
            gradients, exceeds = self._clip_units(gradients, variables)
        elif clipping.quantile:
            bound = self._running_bound(norm)
            factor = bound / ops.maximum(norm, bound)
            gradients = [gradient * factor for gradient in gradients]
            exceeds = norm > bound
        elif clipping.value:
            largest = [ops.max(ops.abs(gradient)) for gradient in gradients]
            exceeds = ops.max(ops.stack(largest)) > clipping.value
        elif clipping.norm:
            squares = [ops.sum(ops.square(gradient)) for gradient in gradients]
            exceeds = ops.sqrt(ops.max(ops.stack(squares))) > clipping.norm
        else:
            exceeds = norm > clipping.global_norm
        self._note(norm, exceeds)
        return gradients

    def read(self) -> dict[str, float]:
        """Return mean norm and share of clipped updates since the last time, and begin anew."""
        updates, clipped, norms = ops.convert_to_numpy(self.totals).tolist()
        self.totals.assign(ops.zeros((3,)))
        if not updates:
            return {}
        return {"gradient_norm": norms / updates, "clipped_share": clipped / updates}

    def _clip_units(self, gradients: list[Any], variables: Sequence[Any]) -> tuple[list[Any], Any]:
        factors = [
            ops.ones(())
            if id(variable) in self._spared
            else _unit_factors(gradient, variable, self._clipping.adaptive)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        smallest = ops.min(ops.stack([ops.min(factor) for factor in factors]))
        clipped = [g * factor for g, factor in zip(gradients, factors, strict=True)]
        return clipped, smallest < 1.0

    def _running_bound(self, norm: Any) -> Any:
        """Return the quantile of the last norms, this one included, and keep this one."""
        window = self._clipping.window
        places = ops.arange(window, dtype="float32")
        seen = self._seen + 0.0
        norms = ops.where(ops.equal(places, ops.mod(seen, window)), norm, self._norms + 0.0)
        self._norms.assign(norms)
        self._seen.assign(seen + 1.0)
        count = ops.minimum(seen + 1.0, float(window))
        # Places that no norm has come to yet stand last.
        ordered = ops.sort(ops.where(places < count, norms, ops.full_like(norms, float("inf"))))
        place = self._clipping.quantile * (count - 1.0)
        below = ops.floor(place)
        low = ops.take(ordered, ops.cast(below, "int32"))
        high = ops.take(ordered, ops.cast(ops.minimum(below + 1.0, count - 1.0), "int32"))
        return low + (high - low) * (place - below)

    def _note(self, norm: Any, exceeds: Any) -> None:
        self.totals.assign_add(ops.stack([ops.ones(()), ops.cast(exceeds, "float32"), norm]))


def dense_gradient(gradient: Any, variable: Any) -> Any:
    """Return a gradient as one tensor: TensorFlow's of an embedding names only the rows it has."""
    if not hasattr(gradient, "dense_shape"):
        return gradient
    return ops.scatter(ops.expand_dims(gradient.indices, -1), gradient.values, variable.shape)

"""The loss around a model's weights, and how sharp it is: its Hessian's largest eigenvalue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from slipstream.backends import open_looker
from slipstream.data.keras_files import why_not_weights
from slipstream.data.order import epoch_order
from slipstream.data.splits import Arrays, Data, Split
from slipstream.engine.build import Built, build
from slipstream.errors import RecordError
from slipstream.loss_surface import Landscape, LandscapeSettings
from slipstream.ops.directions import filter_normalized
from slipstream.plan import Plan
from slipstream.task import Task

# How many examples go through the model at a time.
BATCH = 256
# How exact the eigenvalue is: products in float32 hold about so many digits.
TOLERANCE, MOST_ITERATIONS = 1e-4, 200
# Lanczos' method keeps so many vectors as long as all weights together.
VECTORS = 20
AUTODIFF, DIFFERENCES = "differentiated twice", "differences of gradients"


def landscape_of(
    task: Task, plan: Plan, weights: Path, data: Data, settings: LandscapeSettings
) -> Landscape:
    """Return the landscape around weights that a training left on disk.

    Args:
        task: The task.
        plan: The plan that the weights were trained with.
        weights: The file of weights.
        data: The task's data.
        settings: What of it is computed.

    Raises:
        InputError: Task, data or plan cannot be used.
        RecordError: The file holds the weights of another model, or is not as Keras writes it.
    """
    why = why_not_weights(weights)
    if why:
        raise RecordError(
            f"weights as Keras writes them in {weights}",
            why,
            "Name the folder of a run that was trained here.",
            code="SLP-638",
        )
    built = build(task, plan, data, plan.schedule.peak)
    try:
        built.stored.load_weights(weights)
    except (OSError, ValueError) as error:
        raise RecordError(
            f"the weights of the model of task '{task.name}' in {weights}",
            f"{type(error).__name__}: {str(error).splitlines()[0]}",
            "Name the folder of a run of this task, as the task is now.",
            code="SLP-628",
        ) from None
    return landscape(built, data, settings, task.name)


def landscape(built: Built, data: Data, settings: LandscapeSettings, name: str = "") -> Landscape:
    """Return the landscape around the weights that a model holds; they stay as they are.

    The loss is the task's own, on training examples, computed as in inference.
    """
    with built.judged_by_the_task():
        surface = _Surface(built.model, data.train, settings)
        steps = np.linspace(-settings.span, settings.span, settings.points)
        losses = surface.losses(steps)
        sharpness, method = surface.sharpness()
        return Landscape(
            task=name,
            backend=keras.backend.backend(),
            steps=tuple(map(float, steps)),
            losses=tuple(tuple(map(float, row)) for row in losses),
            loss=surface.loss(),
            sharpness=sharpness,
            method=method,
            examples=surface.num_examples,
            seed=settings.seed,
        )


@final
class _Surface:
    """The mean loss of a model over some examples, as a function of its trainable weights."""

    def __init__(self, model: Any, train: Split, settings: LandscapeSettings) -> None:
        self._variables = list(model.trainable_variables)
        self._looker = open_looker(model, keras.backend.backend())
        self._seed = settings.seed
        order = epoch_order(train.num_examples, settings.seed, 0)[: settings.examples]
        self.num_examples = len(order)
        self._batches: list[tuple[float, Arrays]] = [
            (len(part) / len(order), train.take(part).parts())
            for part in np.split(order, list(range(BATCH, len(order), BATCH)))
        ]
        self._weights = [
            np.array(keras.ops.convert_to_numpy(variable), np.float32)
            for variable in self._variables
        ]
        self._axes = _filter_axes(model)

    def loss(self) -> float:
        """Return the loss at the weights that the model holds now."""
        return sum(share * self._looker.loss(batch) for share, batch in self._batches)

    def losses(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the loss at w + a * d1 + b * d2, shape (b, a)."""
        axes = [self._axes.get(id(variable), ()) for variable in self._variables]
        first = filter_normalized(self._weights, axes, 2 * self._seed)
        second = filter_normalized(self._weights, axes, 2 * self._seed + 1)

        def at(a: float, b: float) -> float:
            moved = [a * one + b * other for one, other in zip(first, second, strict=True)]
            with self._moved(moved):
                return self.loss()

        return np.array([[at(a, b) for a in steps] for b in steps])

    def sharpness(self) -> tuple[float | None, str]:
        """Return the largest eigenvalue of the Hessian, and how products with it are computed."""
        size = sum(weight.size for weight in self._weights)
        start = np.random.default_rng(self._seed).standard_normal(size)
        multiply, method = self._multiplier(start)
        if size == 1:
            return float(multiply(np.ones(1))[0]), method
        operator: Any = LinearOperator((size, size), matvec=multiply, dtype=np.float64)
        try:
            (largest,) = eigsh(
                operator,
                k=1,
                which="LA",
                v0=start,
                ncv=min(size, VECTORS),
                tol=TOLERANCE,
                maxiter=MOST_ITERATIONS,
                return_eigenvectors=False,
            )
        except ArpackError:
            return None, method
        return (float(largest) if np.isfinite(largest) else None), method

    def _multiplier(
        self, trial: NDArray[np.float64]
    ) -> tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], str]:
        try:
            if np.isfinite(self._product(trial)).all():
                return self._product, AUTODIFF
        except Exception:
            # Each backend says in its own way that an operation has no second derivative.
            pass
        return self._difference, DIFFERENCES

    def _product(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = self._parts(vector)
        return self._summed(lambda batch: self._looker.hessian_product(batch, parts))

    def _difference(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (g(w + e v) - g(w - e v)) / 2e for a step of a hundredth of the weights."""
        flat = vector.ravel()
        length = float(np.linalg.norm(flat))
        if length == 0:
            return np.zeros_like(flat)
        size = float(np.sqrt(sum(np.sum(np.square(weight)) for weight in self._weights)))
        step = 1e-2 * max(size, 1e-3) / length
        parts = [np.float32(step) * part for part in self._parts(flat)]

        def gradient(batch: Arrays) -> list[NDArray[np.float32]]:
            return self._looker.gradient(batch, training=False)[1]

        with self._moved(parts):
            ahead = self._summed(gradient)
        with self._moved([-part for part in parts]):
            behind = self._summed(gradient)
        return (ahead - behind) / (2.0 * step)

    def _summed(
        self, compute: Callable[[Arrays], list[NDArray[np.float32]]]
    ) -> NDArray[np.float64]:
        total = np.zeros(sum(weight.size for weight in self._weights))
        for share, batch in self._batches:
            total += share * np.concatenate([part.ravel() for part in compute(batch)])
        return total

    def _parts(self, vector: NDArray[np.float64]) -> list[NDArray[np.float32]]:
        ends = np.cumsum([weight.size for weight in self._weights])[:-1]
        return [
            part.reshape(weight.shape).astype(np.float32)
            for part, weight in zip(np.split(vector.ravel(), ends), self._weights, strict=True)
        ]

    @contextmanager
    def _moved(self, by: Sequence[NDArray[np.float32]]) -> Iterator[None]:
        try:
            for variable, weight, step in zip(self._variables, self._weights, by, strict=True):
                variable.assign(weight + step)
            yield
        finally:
            for variable, weight in zip(self._variables, self._weights, strict=True):
                variable.assign(weight)


def _filter_axes(model: Any) -> dict[int, tuple[int, ...]]:
    """Return for each kernel, by its identity, the axes along which its filters are counted."""
    axes: dict[int, tuple[int, ...]] = {}
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables:
            rank = len(variable.shape)
            if rank < 2:
                continue
            if isinstance(layer, keras.layers.Embedding):
                axes[id(variable)] = (0,)
            elif "depthwise" in variable.name or "Depthwise" in type(layer).__name__:
                axes[id(variable)] = (rank - 2, rank - 1)
            else:
                axes[id(variable)] = (rank - 1,)
    return axes

"""A look into all layers of a model: gradients and activations on a few training examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional
from numpy.typing import NDArray

from slipstream.backends import open_looker
from slipstream.data.mixed_labels import MixedLabels
from slipstream.data.order import epoch_order
from slipstream.data.splits import Arrays, Split
from slipstream.engine.events import Looked
from slipstream.engine.mixing import few_mixed
from slipstream.signals import Activation, Gradient, Layers

# So many examples are looked at, and so many numbers that layers put out for them, at most.
MOST_EXAMPLES, FEWEST_EXAMPLES, MOST_NUMBERS = 256, 16, 8_000_000
RECTIFIERS = ("relu", "relu6")
Arrayed = dict[str, NDArray[Any]]


class LayerLooks:
    """Looks into a model, always on the same training examples.

    Gradients and activations are those of training: dropout is on, BatchNormalization takes the
    batch's own statistics. What that would change in the model is put back.

    Args:
        model: A compiled, built model.
        train: The training split.
        seed: Which examples are looked at.
        labels: The form of labels that the training's loss takes, where examples are mixed.
    """

    def __init__(
        self, model: Any, train: Split, seed: int, labels: MixedLabels | None = None
    ) -> None:
        self._model = model
        self._looker = open_looker(model, keras.backend.backend())
        self._layers, self._inside = _inside(model)
        num = _num_examples(self._inside, train.num_examples)
        few = train.take(epoch_order(train.num_examples, seed, 0)[:num])
        self._batch: Arrays = few_mixed(few, labels) if labels else few.parts()

    @property
    def applied(self) -> str:
        """What is looked at, in words."""
        variables = f"gradients of {len(self._model.trainable_variables)} variables"
        if self._inside is None:
            return f"{variables}; no activations: the model has no graph of layers"
        return f"{variables}, activations of {len(self._layers)} layers"

    def look(self, step: int, epoch: float, *, keep_arrays: bool) -> Looked:
        """Return what is seen now.

        Args:
            step: Updates made so far.
            epoch: The same in epochs.
            keep_arrays: Whether the arrays themselves are handed on, for histograms.
        """
        loss, gradients = self._gradient()
        variables = self._model.trainable_variables
        weights = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]
        outputs: list[NDArray[Any]] = []
        if self._inside is not None:
            x, _, _ = self._batch
            outputs = self._looker.outputs(self._inside, x, training=True)
        layers = Layers(
            step,
            epoch,
            loss,
            tuple(map(_gradient, variables, weights, gradients)),
            tuple(map(_activation, self._layers, outputs)),
        )
        if not keep_arrays:
            return Looked(layers)
        paths = [variable.path for variable in variables]
        names = [layer.name for layer in self._layers]
        return Looked(
            layers,
            # Copies: on the processor a backend may hand out its own memory.
            {path: np.array(weight) for path, weight in zip(paths, weights, strict=True)},
            dict(zip(paths, gradients, strict=True)),
            dict(zip(names, outputs, strict=False)),
        )

    def _gradient(self) -> tuple[float, list[NDArray[np.float32]]]:
        one = keras.ops.ones((), "float32")
        scale = float(keras.ops.convert_to_numpy(self._model.optimizer.scale_loss(one)))
        loss, gradients = self._looker.gradient(self._batch, training=True, scale=scale)
        if scale != 1.0 and not all(np.isfinite(gradient).all() for gradient in gradients):
            # A loss scale that is too large for now is no gradient that explodes.
            loss, gradients = self._looker.gradient(self._batch, training=True)
        return loss, gradients


def _gradient(variable: Any, weight: NDArray[Any], gradient: NDArray[np.float32]) -> Gradient:
    norm = _norm(gradient)
    return Gradient(
        path=variable.path,
        norm=norm,
        rms=norm / math.sqrt(max(1, gradient.size)),
        weight_norm=_norm(weight),
        # An embedding's rows that no example names have no gradient.
        is_kernel=weight.ndim >= 2 and variable.name != "embeddings",
    )


def _activation(layer: Any, output: NDArray[Any]) -> Activation:
    dead = None
    if _rectifies(layer) and output.ndim > 1:
        first = keras.config.image_data_format() == "channels_first" and output.ndim > 2
        units = 1 if first else output.ndim - 1
        others = tuple(axis for axis in range(output.ndim) if axis != units)
        dead = float(np.mean(np.all(output == 0, axis=others)))
    numbers = output.astype(np.float32, copy=False)
    return Activation(layer.name, dead, float(numbers.mean()), float(numbers.std()))


def _rectifies(layer: Any) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope
    return getattr(getattr(layer, "activation", None), "__name__", "") in RECTIFIERS


def _norm(array: NDArray[Any]) -> float:
    numbers = array.astype(np.float32, copy=False).ravel()
    norm = float(np.sqrt(np.dot(numbers, numbers)))
    if math.isinf(norm) and np.isfinite(numbers).all():
        # Only the squares are too large for float32.
        return float(np.linalg.norm(numbers.astype(np.float64)))
    return norm


def _inside(model: Any) -> tuple[list[Any], Any]:
    """Return the layers whose outputs can be seen, and a model that returns these outputs.

    It shares all layers, so it has no state of its own. None where the model has no graph.
    """
    graph = getattr(model, "_functional", None) or model
    is_plain = isinstance(model, keras.Sequential) or type(model).call is Functional.call
    if not (is_plain and isinstance(graph, Functional)):
        return [], None
    own = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
    seen = [
        (layer, tensors)
        for layer in graph.layers
        if not isinstance(layer, keras.layers.InputLayer)
        and (tensors := _outputs(layer, own)) is not None
    ]
    if not seen:
        return [], None
    layers, tensors = zip(*seen, strict=True)
    return list(layers), keras.Model(graph.inputs, list(tensors))


def _outputs(layer: Any, own: set[int]) -> Any:
    """Return the one float output of a layer's last call in the model, else None."""
    nodes = [node for node in layer._inbound_nodes if id(node) in own]
    tensors = nodes[-1].output_tensors if nodes else []
    is_one = len(tensors) == 1 and "float" in keras.backend.standardize_dtype(tensors[0].dtype)
    return tensors[0] if is_one else None


def _num_examples(inside: Any, available: int) -> int:
    tensors: Sequence[Any] = inside.outputs if inside is not None else ()
    numbers = sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)
    fitting = MOST_NUMBERS // max(1, numbers)
    return min(available, max(FEWEST_EXAMPLES, min(MOST_EXAMPLES, fitting)))

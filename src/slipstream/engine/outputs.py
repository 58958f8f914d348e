"""What is known of a model's outputs: shape, activation, loss, metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.data.splits import Split, leaves
from slipstream.engine.losses import BY_SHAPES, by_output, metrics_of, resolve_loss, resolve_metric
from slipstream.task import OutputFacts, Task

Shape = tuple[int | None, ...]

# Losses and metrics from here are known by the names of their classes.
KNOWN = ("keras.", "slipstream.ops.")
# Layers and operations that are an activation.
AS_ACTIVATIONS = {
    "LogSoftmax": "log_softmax",
    "ReLU": "relu",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
}
# Layers that leave values as they are, but for their places, or average them.
PASSED_THROUGH = frozenset(
    {
        "ActivityRegularization",
        "Cropping1D",
        "Cropping2D",
        "Dropout",
        "Flatten",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalAveragePooling3D",
        "Identity",
        "Permute",
        "Reshape",
    }
)
# A larger model is not called only to see what its outputs look like.
MOST_PARAMETERS = 2_000_000
FEW = 8


def output_facts(task: Task, model: Any, train: Split | None) -> Iterator[OutputFacts]:
    """Yield the facts of each output, judged by the task's loss.

    Where no layer tells the activation of an output, a few of its values may, if there are
    examples.
    """
    names = list(getattr(model, "output_names", None) or ["output"])
    losses = by_output(resolve_loss(task.loss), names)
    tensors = getattr(model, "outputs", None) or []
    if not tensors and train is not None:
        arrays = [keras.ops.convert_to_numpy(array) for array in leaves(model(_few(train)))]
        for name, array in zip(names, arrays, strict=False):
            shape = tuple(array.shape[1:])
            yield _output(task, names, name, shape, _from_values(array), losses.get(name))
        return
    activations = [_activation(tensor) for tensor in tensors]
    asks = any(
        activation == "unknown" and _loss(losses.get(name))[1] is not None
        for name, activation in zip(names, activations, strict=True)
    )
    if asks and train is not None and model.count_params() <= MOST_PARAMETERS:
        # Data that do not fit the model are for the checks to refuse, in words.
        with suppress(Exception):
            values = [keras.ops.convert_to_numpy(array) for array in leaves(model(_few(train)))]
            activations = [
                _from_values(value) if activation == "unknown" else activation
                for activation, value in zip(activations, values, strict=True)
            ]
    for name, tensor, activation in zip(names, tensors, activations, strict=True):
        shape = tuple(tensor.shape[1:])
        yield _output(task, names, name, shape, activation, losses.get(name))


def _few(train: Split) -> Any:
    return train.take(np.arange(min(FEW, train.num_examples))).x


def _output(
    task: Task, names: list[str], name: str, shape: Shape, activation: str, loss: Any
) -> OutputFacts:
    class_name, from_logits = _loss(loss)
    metrics = _metrics_of(metrics_of(task), names, name)
    return OutputFacts(
        name,
        shape,
        activation,
        class_name,
        from_logits,
        tuple(_class_name(metric) for metric in metrics),
        getattr(loss, "ignore_class", None),
        tuple(_class_name(one) for one in metrics if from_logits and _takes_shares(one)),
        max((_top_k(one) for one in metrics), default=0) or None,
    )


def _metrics_of(metrics: Any, names: list[str], name: str) -> list[Any]:
    if isinstance(metrics, Mapping):
        metrics = metrics.get(name, ())
    elif len(metrics) == len(names) > 1 and isinstance(metrics[0], list | tuple):
        metrics = metrics[names.index(name)]
    return list(metrics) if isinstance(metrics, list | tuple) else [metrics]


def _class_name(metric: Any) -> str:
    """Return the class name of a Keras metric, "custom" for one of the user's own."""
    if metric in BY_SHAPES:
        # Keras chooses the class that fits the shapes.
        return metric_name(metric).capitalize()
    metric = resolve_metric(metric)
    metric = keras.metrics.get(metric) if isinstance(metric, str) else metric
    name = getattr(metric, "__name__", type(metric).__name__)
    module = getattr(metric, "__module__", "")
    return _camel(name) if module.startswith(KNOWN) else "custom"


def _takes_shares(metric: Any) -> bool:
    """Whether a metric that gets logits holds them against thresholds for probabilities.

    Thresholds that somebody chose may be meant for logits: only Keras' own are known to be wrong.
    """
    if isinstance(metric, str) and metric not in BY_SHAPES:
        metric = keras.metrics.get(metric)
    if isinstance(metric, keras.metrics.AUC):
        return not metric._from_logits
    if isinstance(metric, keras.metrics.BinaryAccuracy):
        return bool(metric.threshold == 0.5)
    if getattr(metric, "init_thresholds", None) is not None:
        return False
    thresholds = list(getattr(metric, "thresholds", ()))
    return len(thresholds) > 1 or thresholds == [0.5]


def _top_k(metric: Any) -> int:
    """Return in how many answers a metric looks for the right class; 0 where it does not."""
    if isinstance(metric, str) and metric not in BY_SHAPES:
        metric = keras.metrics.get(metric)
    kinds = (keras.metrics.TopKCategoricalAccuracy, keras.metrics.SparseTopKCategoricalAccuracy)
    return int(metric.k) if isinstance(metric, kinds) else 0


def _activation(tensor: Any) -> str:
    """Return the activation that made a tensor; "unknown" unless a layer of Keras' own tells."""
    history = tensor._keras_history
    layer = history.operation
    if isinstance(layer, keras.Model):
        inner = getattr(layer, "outputs", None) or []
        return _activation(inner[history.tensor_index]) if inner else "unknown"
    while isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    kind = type(layer).__name__
    if not type(layer).__module__.startswith("keras."):
        return "unknown"
    if kind in AS_ACTIVATIONS:
        return AS_ACTIVATIONS[kind]
    if kind in PASSED_THROUGH:
        node = history.operation._inbound_nodes[history.node_index]
        return _activation(node.input_tensors[0])
    activation = getattr(layer, "activation", None)
    return str(getattr(activation, "__name__", "unknown"))


def _from_values(values: NDArray[Any]) -> str:
    """Return what values of an output tell of its activation: "softmax", "linear" or "unknown".

    Example:
        >>> _from_values(np.array([[0.25, 0.75], [0.5, 0.5]])), _from_values(np.array([[-1.0]]))
        ('softmax', 'linear')
    """
    if values.dtype.kind != "f" or not values.size or not np.isfinite(values).all():
        return "unknown"
    if values.min() < 0 or values.max() > 1:
        return "linear"
    several = values.ndim > 1 and values.shape[-1] > 1
    return "softmax" if several and np.allclose(values.sum(-1), 1, atol=1e-3) else "unknown"


def _loss(loss: Any) -> tuple[str, bool | None]:
    """Return the class name of a loss, whatever form it came in, and its from_logits."""
    if loss is None:
        return "none", None
    name = getattr(loss, "__name__", type(loss).__name__)
    from_logits = getattr(loss, "from_logits", None)
    if from_logits is None and hasattr(loss, "_fn_kwargs"):
        from_logits = loss._fn_kwargs.get("from_logits")
    class_name = _camel(name)
    if from_logits is None and class_name.endswith("Crossentropy"):
        from_logits = False
    module = getattr(loss, "__module__", "") or type(loss).__module__
    if not module.startswith(KNOWN):
        return ("function" if hasattr(loss, "__name__") else "custom"), from_logits
    return class_name, from_logits


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_")) if "_" in name else name


def metric_name(metric: Any) -> str:
    if isinstance(metric, str):
        return {"acc": "accuracy", "ce": "crossentropy"}.get(metric, metric)
    metric = resolve_metric(metric)
    return str(getattr(metric, "name", None) or getattr(metric, "__name__", type(metric).__name__))

"""One look at a task: what planning, checking and reporting need to know of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import keras

from slipstream.backends.seeding import set_random_seed
from slipstream.data.splits import Data, leaves
from slipstream.engine.build import build_model, resolve_loss, resolve_metric
from slipstream.engine.counting import count_multiply_adds
from slipstream.engine.fingerprint import fingerprint
from slipstream.task import InputFacts, ModelFacts, OutputFacts, Task, TaskFacts

Shape = tuple[int | None, ...]


def look(task: Task, reference: str, data: Data) -> tuple[TaskFacts, ModelFacts]:
    """Build the task's model once and return what is to be known of task and model.

    Args:
        task: The task.
        reference: From which a fresh process rebuilds it.
        data: Its data.

    Raises:
        TaskError: The model cannot be built.
    """
    set_random_seed(0)
    model = build_model(task, data.train)
    facts = model_facts(task, model, data)
    sparse_classes = [o.shape[-1] for o in facts.outputs if "Categorical" in o.loss and o.shape]
    return (
        TaskFacts(
            reference=reference,
            name=task.name,
            fingerprint=fingerprint(task),
            data_hash=data.digest(),
            monitor=task.monitor,
            mode=task.better,
            target=task.target,
            as_given=task.plan,
            kind=_kind(facts),
            num_train=data.train.num_examples,
            num_validation=data.validation.num_examples,
            num_test=data.test.num_examples if data.test else 0,
            num_classes=sparse_classes[0] if sparse_classes else _binary_classes(facts),
            input_shapes={entry.name: entry.shape for entry in facts.inputs},
            input_dtypes={
                entry.name: str(array.dtype)
                for entry, array in zip(
                    facts.inputs, _in_order_of(facts.inputs, data.train.x), strict=False
                )
            },
            output_shapes={entry.name: entry.shape for entry in facts.outputs},
            parameters=model.count_params(),
            multiply_adds=_arithmetic(model, data),
            layers=dict(Counter(type(layer).__name__ for layer in model._flatten_layers())),
        ),
        facts,
    )


def _arithmetic(model: Any, data: Data) -> int:
    try:
        return count_multiply_adds(model, data.train.x)
    except Exception:
        # Data that do not fit the model are for the checks to refuse, in words.
        return 0


def model_facts(task: Task, model: Any, data: Data) -> ModelFacts:
    """Return inputs, outputs and logged names of a built model, judged by the task's loss."""
    inputs = tuple(
        InputFacts(_name(tensor, f"input_{i}"), tuple(tensor.shape[1:]), str(tensor.dtype))
        for i, tensor in enumerate(getattr(model, "inputs", None) or [])
    )
    if not inputs:
        # A subclassed model has no declared inputs: what the data are is what it takes.
        names = list(data.train.x) if isinstance(data.train.x, Mapping) else []
        inputs = tuple(
            InputFacts(
                names[i] if names else f"input_{i}", tuple(array.shape[1:]), str(array.dtype)
            )
            for i, array in enumerate(leaves(data.train.x))
        )
    outputs = tuple(_outputs(task, model, data))
    return ModelFacts(inputs, outputs, tuple(_logged(task, [o.name for o in outputs])))


def _outputs(task: Task, model: Any, data: Data) -> Iterator[OutputFacts]:
    tensors = getattr(model, "outputs", None) or []
    names = list(getattr(model, "output_names", [])) or ["output"]
    losses = _by_output(resolve_loss(task.loss), names)
    if not tensors:
        few = data.train.take(slice(0, 2))  # type: ignore[arg-type]
        for name, array in zip(names, leaves(model(few.x)), strict=False):
            yield _output(task, names, name, tuple(array.shape[1:]), "unknown", losses.get(name))
        return
    for name, tensor in zip(names, tensors, strict=True):
        shape = tuple(tensor.shape[1:])
        yield _output(task, names, name, shape, _activation(tensor), losses.get(name))


def _output(
    task: Task, names: list[str], name: str, shape: Shape, activation: str, loss: Any
) -> OutputFacts:
    class_name, from_logits = _loss(loss)
    return OutputFacts(
        name,
        shape,
        activation,
        class_name,
        from_logits,
        tuple(_class_name(metric) for metric in _metrics_of(task, names, name)),
        getattr(loss, "ignore_class", None),
    )


def _metrics_of(task: Task, names: list[str], name: str) -> list[Any]:
    metrics: Any = task.metrics
    if isinstance(metrics, Mapping):
        metrics = metrics.get(name, ())
    elif len(metrics) == len(names) > 1 and isinstance(metrics[0], list | tuple):
        metrics = metrics[names.index(name)]
    return list(metrics) if isinstance(metrics, list | tuple) else [metrics]


def _class_name(metric: Any) -> str:
    """Return the class name of a Keras metric, "custom" for one of the user's own."""
    if metric in ("accuracy", "acc", "crossentropy", "ce"):
        # Keras chooses the class that fits the shapes.
        return _metric_name(metric).capitalize()
    metric = keras.metrics.get(metric) if isinstance(metric, str) else resolve_metric(metric)
    name = getattr(metric, "__name__", type(metric).__name__)
    module = getattr(metric, "__module__", "")
    return _camel(name) if module.startswith("keras.") else "custom"


def _activation(tensor: Any) -> str:
    """Return the activation that made a tensor; "unknown" unless a layer of Keras' own tells."""
    history = tensor._keras_history
    layer = history.operation
    if isinstance(layer, keras.Model):
        inner = getattr(layer, "outputs", None) or []
        return _activation(inner[history.tensor_index]) if inner else "unknown"
    while isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    if type(layer).__name__ in ("Softmax", "ReLU"):
        return type(layer).__name__.lower()
    if not type(layer).__module__.startswith("keras."):
        return "unknown"
    activation = getattr(layer, "activation", None)
    return str(getattr(activation, "__name__", "unknown"))


def _by_output(loss: Any, names: list[str]) -> dict[str, Any]:
    if isinstance(loss, Mapping):
        return dict(loss)
    if isinstance(loss, list):
        return dict(zip(names, loss, strict=False))
    return dict.fromkeys(names, loss)


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
    if not module.startswith("keras."):
        return ("function" if hasattr(loss, "__name__") else "custom"), from_logits
    return class_name, from_logits


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_")) if "_" in name else name


def _logged(task: Task, outputs: list[str]) -> Iterator[str]:
    yield "loss"
    if len(outputs) > 1:
        yield from (f"{name}_loss" for name in outputs)
    if isinstance(task.metrics, Mapping):
        for output, metrics in task.metrics.items():
            entries = metrics if isinstance(metrics, list | tuple) else [metrics]
            yield from (f"{output}_{_metric_name(metric)}" for metric in entries)
        return
    for metric in task.metrics:
        prefixes = [f"{name}_" for name in outputs] if len(outputs) > 1 else [""]
        yield from (f"{prefix}{_metric_name(metric)}" for prefix in prefixes)


def _metric_name(metric: Any) -> str:
    if isinstance(metric, str):
        return {"acc": "accuracy", "ce": "crossentropy"}.get(metric, metric)
    metric = resolve_metric(metric)
    return str(getattr(metric, "name", None) or getattr(metric, "__name__", type(metric).__name__))


def _kind(facts: ModelFacts) -> Literal["classification", "regression", "other"]:
    if any("Crossentropy" in output.loss or "Hinge" in output.loss for output in facts.outputs):
        return "classification"
    errors = ("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh", "Mean")
    if any(output.loss.startswith(errors) for output in facts.outputs):
        return "regression"
    return "other"


def _binary_classes(facts: ModelFacts) -> int | None:
    return 2 if any(output.loss.startswith("Binary") for output in facts.outputs) else None


def _in_order_of(inputs: tuple[InputFacts, ...], x: Any) -> Iterator[Any]:
    """Yield arrays in the order of the model's inputs; a dict of arrays may have another."""
    names = [entry.name for entry in inputs]
    if isinstance(x, Mapping) and set(names) <= set(x):
        yield from (x[name] for name in names)
    else:
        yield from leaves(x)


def _name(tensor: Any, default: str) -> str:
    return str(getattr(tensor, "name", None) or default)

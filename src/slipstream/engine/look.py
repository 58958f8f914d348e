"""One look at a task: what planning, checking and reporting need to know of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import keras

from slipstream.backends.seeding import set_random_seed
from slipstream.data.columns import columns_in
from slipstream.data.splits import Data, leaves
from slipstream.engine.build import build_model
from slipstream.engine.fingerprint import fingerprint
from slipstream.engine.outputs import metric_name, output_facts
from slipstream.plan import Plan
from slipstream.rewrite.counting import count_multiply_adds
from slipstream.task import InputFacts, ModelFacts, Task, TaskFacts


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
            as_given=_fitted(task.plan, data.train.num_examples),
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
            layers=dict(Counter(_kinds(model))),
            streamed=bool(columns_in(data.train.parts())),
        ),
        facts,
    )


def _fitted(plan: Plan, num_train: int) -> Plan:
    """Return a plan whose batches hold no more than there is, where nobody asked for their size.

    Keras makes one smaller batch of it. A size that was asked for is refused by the checks.
    """
    is_usual = (plan.batch.size, plan.batch.accumulation) == (Plan().batch.size, 1)
    if not is_usual or not 0 < num_train < plan.batch.size:
        return plan
    return plan.adapt({"batch.size": num_train})


def _kinds(model: Any) -> Iterator[str]:
    """Yield the class of each layer, and of each operation between layers, like a plus sign."""
    for layer in model._flatten_layers():
        yield type(layer).__name__
        for operation in getattr(layer, "operations", ()):
            if not isinstance(operation, keras.layers.Layer):
                yield type(operation).__name__


def _known_kinds(model: Any) -> Iterator[str]:
    """Yield the class of each layer and operation, "custom" for those that are not Keras' own."""
    for layer in model._flatten_layers():
        yield type(layer).__name__ if type(layer).__module__.startswith("keras.") else "custom"
        for operation in getattr(layer, "operations", ()):
            yield type(operation).__name__


def _arithmetic(model: Any, data: Data) -> int:
    try:
        return count_multiply_adds(model, data.train.x)
    except Exception:
        # Data that do not fit the model are for the checks to refuse, in words.
        return 0


def model_facts(task: Task, model: Any, data: Data | None) -> ModelFacts:
    """Return inputs, outputs and logged names of a built model, judged by the task's loss.

    Without data it is the model's own declarations that tell, and it must have them.
    """
    inputs = tuple(
        InputFacts(
            _name(tensor, f"input_{i}"),
            tuple(tensor.shape[1:]),
            str(tensor.dtype),
            _table(model, tensor),
        )
        for i, tensor in enumerate(getattr(model, "inputs", None) or [])
    )
    if not inputs and data is not None:
        # A subclassed model has no declared inputs: what the data are is what it takes.
        names = list(data.train.x) if isinstance(data.train.x, Mapping) else []
        inputs = tuple(
            InputFacts(
                names[i] if names else f"input_{i}", tuple(array.shape[1:]), str(array.dtype)
            )
            for i, array in enumerate(leaves(data.train.x))
        )
    outputs = tuple(output_facts(task, model, None if data is None else data.train))
    logged = tuple(_logged(task, [o.name for o in outputs]))
    return ModelFacts(inputs, outputs, logged, tuple(sorted(set(_known_kinds(model)))))


def _table(model: Any, tensor: Any) -> int | None:
    """Return how many rows there are for the ids of an input that an Embedding takes as it is."""
    sizes = [
        layer.input_dim
        for layer in model._flatten_layers()
        if type(layer) is keras.layers.Embedding
        and any(one is tensor for node in layer._inbound_nodes for one in node.input_tensors)
    ]
    return min(sizes, default=None)


def _logged(task: Task, outputs: list[str]) -> Iterator[str]:
    yield "loss"
    if len(outputs) > 1:
        yield from (f"{name}_loss" for name in outputs)
    if isinstance(task.metrics, Mapping):
        for output, metrics in task.metrics.items():
            entries = metrics if isinstance(metrics, list | tuple) else [metrics]
            yield from (f"{output}_{metric_name(metric)}" for metric in entries)
        return
    for metric in task.metrics:
        prefixes = [f"{name}_" for name in outputs] if len(outputs) > 1 else [""]
        yield from (f"{prefix}{metric_name(metric)}" for prefix in prefixes)


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

"""Number formats as a plan says: what backends multiply in, and the policies of layers."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from slipstream.backends import set_graph_bfloat16, set_tensor_float32
from slipstream.errors import PlanError
from slipstream.plan import Plan

# What matrix units of 16 bits want sizes to be a multiple of.
MULTIPLE = 8


def set_formats(plan: Plan) -> dict[str, str]:
    """Set what the process computes in; returns what was done of the plan, by plan key."""
    if plan.runtime.backend == "tensorflow":
        # Off again, too: the plan before this one may have switched it on.
        set_graph_bfloat16(plan.precision.policy == "graph_bfloat16")
    keras.config.set_dtype_policy(
        plan.precision.policy if plan.precision.policy.startswith("mixed") else "float32"
    )
    done = set_tensor_float32(plan.precision.tf32, plan.runtime.backend)
    return {} if plan.precision.tf32 == "as_backend" else {"precision.tf32": done}


def set_policies(model: Any, plan: Plan) -> tuple[dict[str, str], list[str]]:
    """Give the layers of a built model the plan's policy; outputs stay in float32.

    Returns:
        What was done of the plan, by plan key, and what a record should say beside it.

    Raises:
        PlanError: A layer that is named is not there.
    """
    policy = plan.precision.policy
    if not policy.startswith("mixed"):
        return {}, []
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]
    if not any(layer.dtype_policy.name == policy for layer in layers if layer.weights):
        # A model that was loaded carries its own policies: the global one passed it by.
        for layer in layers:
            layer.dtype_policy = policy
    outputs = list(output_layers(model))
    for layer in outputs:
        set_policy(layer, "float32")
    applied = {"precision.policy": f"{policy}, {len(outputs)} output layers in float32"}
    names = plan.precision.names()
    for name in names:
        for layer in _named(model, name):
            set_policy(layer, "float32")
    if names:
        applied["precision.float32_layers"] = ", ".join(names)
    return applied, [*_odd_sizes(layers, plan)]


def set_policy(layer: Any, policy: str) -> None:
    """Give a layer and all within it a policy."""
    for part in layer._flatten_layers():
        part.dtype_policy = policy


def output_layers(model: Any) -> Iterator[Any]:
    """Yield the layers that make a model's outputs, those of models within it too."""
    for tensor in getattr(model, "outputs", None) or []:
        operation = tensor._keras_history.operation
        if isinstance(operation, keras.Model):
            yield from output_layers(operation)
        elif isinstance(operation, keras.layers.Layer):
            yield operation


def scaled(optimizer: Any, plan: Plan) -> Any:
    """Return the optimizer with Keras' loss scaling around it where the plan's policy wants it.

    `Model.compile` asks the model's own policy, which a model made elsewhere has not from the plan.
    """
    if plan.precision.policy != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")


def _named(model: Any, name: str) -> list[Any]:
    layers = list(model._flatten_layers(include_self=False))
    found = [layer for layer in layers if layer.name == name]
    if not found:
        names = sorted({layer.name for layer in layers})
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        raise PlanError(
            "names of the model's layers in precision.float32_layers",
            f"'{name}'",
            f"Did you mean '{near[0]}'?" if near else "The model has no layers.",
            code="SLP-138",
        )
    return found


def _odd_sizes(layers: Sequence[Any], plan: Plan) -> Iterator[str]:
    """Yield a hint where sizes are no multiple of what matrix units of 16 bits want."""
    odd = [
        f"{layer.name} ({size})"
        for layer in layers
        if layer.compute_dtype in ("float16", "bfloat16")
        for size in sorted({v.shape[-1] for v in layer._trainable_variables if len(v.shape) > 1})
        if size % MULTIPLE
    ]
    if plan.batch.size % MULTIPLE:
        odd.append(f"batch.size ({plan.batch.size})")
    if odd:
        shown = ", ".join(odd[:8]) + (f" and {len(odd) - 8} more" if len(odd) > 8 else "")
        yield f"Sizes that are no multiple of {MULTIPLE}, as 16-bit units want them: {shown}."

"""The part of a script that sets number formats."""

from __future__ import annotations

from slipstream.errors import PlanError
from slipstream.plan import Plan

# Products of matrices and convolutions, as PyTorch calls it.
_TORCH = {"on": "tf32", "off": "ieee"}
_JAX = {"on": "tensorfloat32", "off": "float32"}
_IMPORTS = {"tensorflow": "import tensorflow as tf", "jax": "import jax", "torch": "import torch"}


def format_imports(plan: Plan) -> set[str]:
    """Return the imports that `format_lines` needs."""
    needs_tensorflow = plan.precision.policy == "graph_bfloat16"
    if plan.precision.tf32 == "as_backend" and not needs_tensorflow:
        return set()
    return {_IMPORTS[plan.runtime.backend]}


def format_lines(plan: Plan) -> list[str]:
    """Return the lines that come before the model is made.

    Raises:
        PlanError: The plan leaves it to a measurement which layers stay in float32.
    """
    precision = plan.precision
    if precision.float32_layers.strip() == "auto":
        raise PlanError(
            "the names of the layers that stay in float32, for a script",
            "precision.float32_layers = 'auto', which is found by measurement",
            "Take the names from the record of a run, under applied: "
            "--set precision.float32_layers='a, b'.",
            code="SLP-811",
        )
    lines = []
    if precision.policy.startswith("mixed"):
        lines.append(f'keras.config.set_dtype_policy("{precision.policy}")')
    if precision.policy == "graph_bfloat16":
        lines += [
            "# TensorFlow itself runs float32 graphs on bfloat16 kernels where that is safe.",
            "tf.config.optimizer.set_experimental_options(",
            '    {"auto_mixed_precision_onednn_bfloat16": True}',
            ")",
        ]
    return lines + (_tensor_float(plan) if precision.tf32 != "as_backend" else [])


def policy_lines(plan: Plan, *, loads_model: bool) -> list[str]:
    """Return the lines that give the layers of the model their formats."""
    policy = plan.precision.policy
    if not policy.startswith("mixed"):
        return []
    lines = []
    if loads_model:
        lines += [
            "# A model from a file has its own number formats.",
            "for layer in model._flatten_layers():",
            "    if not list(layer._layers):",
            f'        layer.dtype_policy = "{policy}"',
        ]
    lines += [
        "# Outputs stay in float32, so that losses do not lose digits.",
        "for tensor in model.outputs:",
        '    tensor._keras_history.operation.dtype_policy = "float32"',
    ]
    names = plan.precision.names()
    if names:
        lines += [
            "# So do layers that 16 bits are too few for.",
            "for layer in model._flatten_layers():",
            f"    if layer.name in {names!r}:",
            "        for part in layer._flatten_layers():",
            '            part.dtype_policy = "float32"',
        ]
    return lines


def scaling_lines(plan: Plan, *, loads_model: bool) -> list[str]:
    """Return the lines that scale the loss where `Model.compile` would not know of it."""
    if plan.precision.policy != "mixed_float16" or not loads_model:
        return []
    return ["optimizer = keras.optimizers.LossScaleOptimizer(optimizer)"]


def _tensor_float(plan: Plan) -> list[str]:
    choice, backend = plan.precision.tf32, plan.runtime.backend
    if backend == "tensorflow":
        on = choice == "on"
        return [f"tf.config.experimental.enable_tensor_float_32_execution({on})"]
    if backend == "jax":
        return [
            'if jax.default_backend() != "cpu":',
            f'    jax.config.update("jax_default_matmul_precision", "{_JAX[choice]}")',
        ]
    return [
        f'torch.backends.cuda.matmul.fp32_precision = "{_TORCH[choice]}"',
        f'torch.backends.cudnn.conv.fp32_precision = "{_TORCH[choice]}"',
    ]

"""Put separable convolutions in the place of full ones."""

from __future__ import annotations

import math
from typing import Any, Literal, final

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.errors import InputError
from slipstream.rewrite.graph import Edit, copy_model

Kernels = Literal["fresh", "nearest"]

SEPARABLE = {
    keras.layers.Conv1D: keras.layers.SeparableConv1D,
    keras.layers.Conv2D: keras.layers.SeparableConv2D,
}
KEPT = (
    *("name", "trainable", "dtype", "filters", "kernel_size", "strides", "padding"),
    *("data_format", "dilation_rate", "activation", "use_bias", "bias_initializer"),
    *("bias_regularizer", "activity_regularizer", "bias_constraint"),
)
# A depthwise kernel of few channels is a bottleneck: images keep their first convolution.
FEWEST_CHANNELS = 8


def make_separable(model: Any, kernels: Kernels) -> tuple[Any, str]:
    """Return a copy with separable convolutions in the place of full ones, and what was done.

    k^d * C * O multiply-adds per position become k^d * C + C * O, for a kernel of size k in d
    dimensions from C to O channels. Biases are kept.

    Args:
        model: A built Keras model with a graph of layers.
        kernels: "fresh" draws new kernels; "nearest" takes those whose product is nearest to the
            old kernel: depthwise and pointwise are the first singular vectors of each input
            channel's part.

    Raises:
        InputError: The model has no graph, or no convolution that this is for: Conv1D or Conv2D
            with a kernel above 1, at least 8 input channels, no groups, equal strides.

    Source: Howard et al., 2017, "MobileNets" (arXiv:1704.04861); for nearest kernels Jaderberg,
    Vedaldi and Zisserman, 2014 (arXiv:1405.3866).
    """
    edit = _Separate()
    copy = copy_model(model, edit)
    if not edit.pairs:
        raise InputError(
            "a Conv1D or Conv2D with a kernel above 1 and at least "
            f"{FEWEST_CHANNELS} input channels",
            f"none in '{model.name}'",
            "Leave its convolutions as they are.",
            code="SLP-721",
        )
    if kernels == "nearest":
        for old, new in edit.pairs.values():
            depthwise, pointwise = nearest_kernels(keras.ops.convert_to_numpy(old.kernel))
            new.depthwise_kernel.assign(depthwise)
            new.pointwise_kernel.assign(pointwise)
    return copy, f"{len(edit.pairs)} convolutions made separable, kernels {kernels}"


def nearest_kernels(kernel: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the depthwise and pointwise kernels whose product is nearest to a full kernel.

    Args:
        kernel: Of shape (*sizes, C, O).

    Returns:
        Of shapes (*sizes, C, 1) and (1, ..., C, O).

    Example:
        >>> depthwise, pointwise = np.ones((3, 3, 2, 1)), np.arange(8.0).reshape(1, 1, 2, 4)
        >>> found = nearest_kernels(depthwise * pointwise)
        >>> bool(np.allclose(found[0] * found[1], depthwise * pointwise))
        True
    """
    *sizes, channels, filters = kernel.shape
    parts = np.moveaxis(kernel.reshape(-1, channels, filters), 1, 0)
    left, values, right = np.linalg.svd(parts, full_matrices=False)
    root = np.sqrt(values[:, :1])
    depthwise = (left[:, :, 0] * root).T.reshape(*sizes, channels, 1)
    pointwise = (right[:, 0, :] * root).reshape(*(1 for _ in sizes), channels, filters)
    return depthwise, pointwise


@final
class _Separate(Edit):
    def __init__(self) -> None:
        # By the old layer's id: the old and the new.
        self.pairs: dict[int, tuple[Any, Any]] = {}

    def replaced(self, layer: Any, args: Any) -> Any | None:
        del args
        if type(layer) not in SEPARABLE or not _is_worth_it(layer):
            return None
        config = layer.get_config()
        settings = {key: config[key] for key in KEPT}
        settings |= {
            f"{part}_{what}": config[f"kernel_{what}"]
            for part in ("depthwise", "pointwise")
            for what in ("initializer", "regularizer", "constraint")
        }
        new = SEPARABLE[type(layer)].from_config(settings)
        self.pairs[id(layer)] = (layer, new)
        return new


def _is_worth_it(layer: Any) -> bool:
    return (
        math.prod(layer.kernel_size) > 1
        and layer.groups == 1
        and layer.padding != "causal"
        and layer.kernel.shape[-2] >= FEWEST_CHANNELS
        and len(set(layer.strides)) == 1
        and (max(layer.strides) == 1 or max(layer.dilation_rate) == 1)
    )

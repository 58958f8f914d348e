"""Draw the kernels of a model anew: He, Glorot, orthogonal, or scaled by data (LSUV)."""

from __future__ import annotations

import math
from typing import Any, final

import keras
import numpy as np

from slipstream.errors import InputError

DRAWN = {
    "he_normal": keras.initializers.HeNormal,
    "he_uniform": keras.initializers.HeUniform,
    "glorot_normal": keras.initializers.GlorotNormal,
    "glorot_uniform": keras.initializers.GlorotUniform,
    "orthogonal": keras.initializers.Orthogonal,
    "lsuv": keras.initializers.Orthogonal,
}
WITH_KERNELS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
# The one that scales a layer's output last, by name.
LAST_KERNELS = ("pointwise_kernel", "kernel")
SCALED_BY = 256
TOLERANCE = 1e-4
MOST_ROUNDS = 20


def initialize(model: Any, scheme: str, x: Any = None) -> str:
    """Draw the kernels of Dense and convolutional layers anew, in place; returns what was done.

    he: variance 2 / fan_in;  glorot: variance 2 / (fan_in + fan_out);  orthogonal: K^T K = 1;
    lsuv: orthogonal, and then layer by layer K = K / std(K x), on data

    Biases and all other weights stay, and kernels that are 0 throughout. Depthwise kernels have
    the fans of one channel, which Keras' initializers take for those of all.

    Args:
        model: A built Keras model, with a graph or without.
        scheme: he_normal, he_uniform, glorot_normal, glorot_uniform, orthogonal or lsuv.
        x: For lsuv: inputs as the model takes them, of which the first 256 count.

    Raises:
        InputError: No such layer, no such scheme, or lsuv without inputs.

    Source: He et al., 2015 (arXiv:1502.01852); Glorot and Bengio, 2010 (AISTATS); Saxe,
    McClelland and Ganguli, 2014 (arXiv:1312.6120); Mishkin and Matas, 2016, "All you need is a
    good init" (arXiv:1511.06422).
    """
    if scheme not in DRAWN:
        names = ", ".join(DRAWN)
        raise InputError(
            f"a way to draw kernels: {names}", f"'{scheme}'", "Name one of these.", code="SLP-716"
        )
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, WITH_KERNELS)]
    if not layers:
        raise InputError(
            "Dense or convolutional layers",
            f"none in '{model.name}'",
            "Leave its weights alone.",
            code="SLP-717",
        )
    for layer in layers:
        for variable in layer.weights:
            # One that is 0 throughout is meant to be: a branch that begins with nothing.
            if variable.name.endswith("kernel") and bool(keras.ops.any(variable.value != 0)):
                variable.assign(_drawn(scheme, variable, layer))
    if scheme != "lsuv":
        return f"{scheme}: kernels of {len(layers)} layers"
    if x is None:
        raise InputError(
            "inputs for lsuv, which scales by them", "none", "Give x, or a plan.", code="SLP-718"
        )
    num_scaled = _scale_by_data(model, x)
    return f"lsuv: kernels of {len(layers)} layers, {num_scaled} of them scaled by data"


def _drawn(scheme: str, variable: Any, layer: Any) -> Any:
    # One for each: an initializer that is called twice gives the same numbers.
    kernel = DRAWN[scheme]()(variable.shape, dtype=variable.dtype)
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    if variable.name != "depthwise_kernel" and not is_depthwise:
        return kernel
    *_, channels, multiplier = variable.shape
    if scheme.startswith("glorot"):
        return kernel * math.sqrt((channels + multiplier) / (1 + multiplier))
    return kernel * math.sqrt(channels)


def _scale_by_data(model: Any, x: Any) -> int:
    """Scale kernels, layer by layer as they are called in one forward pass; returns how many."""
    few = keras.tree.map_structure(lambda array: array[:SCALED_BY], x)
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, WITH_KERNELS)]
    kept = [layer.activation for layer in layers]
    scaled: set[int] = set()
    try:
        for layer in layers:
            # What a layer gives passes its activation. Keras' tracker has no part in this.
            object.__setattr__(layer, "activation", _ScaleByData(layer, scaled))
        model(few, training=False)
    finally:
        for layer, activation in zip(layers, kept, strict=True):
            object.__setattr__(layer, "activation", activation)
    return len(scaled)


@final
class _ScaleByData:
    """In the place of a layer's activation: scales the kernel first, once."""

    def __init__(self, layer: Any, scaled: set[int]) -> None:
        self._layer = layer
        self._activation = layer.activation
        self._scaled = scaled

    def __call__(self, outputs: Any) -> Any:
        if id(self._layer) in self._scaled:
            return self._activation(outputs)
        bias = self._bias(outputs)
        products = outputs - bias
        factor = _factor(products, bias)
        if factor is None:
            # It gives the same for all: there is nothing to scale.
            return self._activation(outputs)
        by_name = {variable.name: variable for variable in self._layer.weights}
        kernel = next(by_name[name] for name in LAST_KERNELS if name in by_name)
        kernel.assign(kernel.value * factor)
        self._scaled.add(id(self._layer))
        return self._activation(products * factor + bias)

    def _bias(self, outputs: Any) -> Any:
        layer = self._layer
        if not layer.use_bias:
            return keras.ops.zeros((), outputs.dtype)
        shape = [1] * len(outputs.shape)
        first = getattr(layer, "data_format", None) == "channels_first"
        shape[1 if first else -1] = -1
        return keras.ops.reshape(keras.ops.cast(layer.bias, outputs.dtype), shape)


def _factor(products: Any, bias: Any) -> float | None:
    """Return the factor k with which k * products + bias has variance 1; None if there is none."""
    values, constant = (
        np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")), np.float64)
        for tensor in (products, bias)
    )
    factor = 1.0
    for _ in range(MOST_ROUNDS):
        deviation = float(np.std(values * factor + constant))
        if float(np.std(values)) == 0.0 or not np.isfinite(deviation):
            return None
        if abs(deviation - 1.0) < TOLERANCE:
            break
        factor /= deviation
    return factor

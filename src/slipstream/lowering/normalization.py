"""BatchNormalization, LayerNormalization, RMSNormalization and GroupNormalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
from torch.nn import functional

from slipstream.lowering._cast import cast, compute_dtype, output_dtype, weight_of
from slipstream.lowering._rule import Call, NotLoweredError, Rule, Run, Slot, Tolerance

Read = Callable[[], torch.Tensor | None]
HALVES = (torch.bfloat16, torch.float16)


def _batch(layer: Any, call: Call) -> Run:
    """Lower BatchNormalization.

    Keras keeps the biased variance of a batch, the kernel the unbiased one, which is n / (n - 1)
    times as large: the moving variance is handed to it in the same measure, and taken back.
    """
    index, explicit = call.only_tensor("mask").index, call.arguments.get("mask")
    if explicit is not None and not isinstance(explicit, Slot):
        raise NotLoweredError("its mask is no tensor of the graph")
    if layer.renorm:
        raise NotLoweredError("it renormalizes")
    if layer.moving_variance.dtype != "float32":
        raise NotLoweredError(f"its moving averages are {layer.moving_variance.dtype}")
    dtype, axis = compute_dtype(layer), layer.axis % layer.input_spec.ndim
    if dtype == torch.float64:
        raise NotLoweredError("it computes in float64")
    gamma, beta = _optional(layer.gamma), _optional(layer.beta)
    fold, unfold = _channels_second(axis, layer.input_spec.ndim)
    epsilon, share = layer.epsilon, 1.0 - layer.momentum

    def kernel(x: torch.Tensor, mean: Any, variance: Any, training: bool) -> torch.Tensor:
        normalized = torch.batch_norm(
            fold(x),
            gamma(),
            beta(),
            mean,
            variance,
            training,
            share,
            epsilon,
            torch.backends.cudnn.enabled,
        )
        return unfold(normalized, x)  # type: ignore[no-any-return]

    def run(tensors: Any, masks: Any, training: bool) -> torch.Tensor:
        x = cast(tensors[index], dtype)
        mask = masks[index] if explicit is None else tensors[explicit.index]
        if mask is not None and mask.ndim != x.ndim - 1:
            # It raises, and says why.
            return layer(x, training=training, mask=mask)  # type: ignore[no-any-return]
        mean, variance = layer.moving_mean._value, layer.moving_variance._value
        if not (training and layer.trainable):
            return kernel(x, mean, variance, False)
        count = x.numel() // x.shape[axis]
        if mask is not None or count < 2:
            found = _moments(x.float(), mask, axis)
            with torch.no_grad():
                mean.lerp_(found[0].reshape(-1), share)
                variance.lerp_(found[1].reshape(-1), share)
            return _normalized(x.float(), found, gamma(), beta(), epsilon).to(dtype)
        with torch.no_grad():
            unbiased = variance * (count / (count - 1))
        normalized = kernel(x, mean, unbiased, True)
        with torch.no_grad():
            torch.mul(unbiased, (count - 1) / count, out=variance)
        return normalized

    return run


def _channels_second(axis: int, ndim: int) -> tuple[Any, Any]:
    """Return functions that bring the channels to axis 1, where kernels want them, and back."""
    if axis == ndim - 1:
        # Rows of channels, whatever the rank: the kernels are fastest on these.
        return (lambda x: x.reshape(-1, x.shape[-1])), (lambda y, x: y.reshape(x.shape))
    return (lambda x: x.movedim(axis, 1)), (lambda y, _: y.movedim(1, axis))


def _moments(x: torch.Tensor, mask: Any, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and biased variance over all axes but one, of what is not masked."""
    axes = [i for i in range(x.ndim) if i != axis]
    if mask is None:
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        return mean, variance
    chosen = mask.to(torch.bool).unsqueeze(-1).broadcast_to(x.shape)
    count = chosen.to(x.dtype).sum(axes, keepdim=True) + keras.config.epsilon()
    mean = torch.where(chosen, x, 0.0).sum(axes, keepdim=True) / count
    squares = torch.where(chosen, x - mean, 0.0).square()
    return mean, squares.sum(axes, keepdim=True) / count


def _normalized(
    x: torch.Tensor,
    moments: tuple[torch.Tensor, torch.Tensor],
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    epsilon: float,
) -> torch.Tensor:
    mean, variance = moments
    factor = torch.rsqrt(variance + epsilon)
    if gamma is not None:
        factor = factor * gamma.reshape(mean.shape)
    result = (x - mean) * factor
    return result if beta is None else result + beta.reshape(mean.shape)


def _layer(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    if layer.rms_scaling:
        raise NotLoweredError("it scales by the variance (rms_scaling)")
    dtype, num_axes = output_dtype(layer), _num_trailing_axes(layer)
    gamma, beta, epsilon = _optional(layer.gamma), _optional(layer.beta), layer.epsilon

    def run(tensors: Any, masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        x = tensors[index]
        shape = x.shape[x.ndim - num_axes :]
        # The kernel takes half precision too, but sums the gradients of gamma and beta in it.
        y = functional.layer_norm(x.float(), shape, gamma(), beta(), epsilon)
        return y.to(x.dtype).to(dtype)

    return run


def _root_mean_square(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    dtype, num_axes = compute_dtype(layer), _num_trailing_axes(layer)
    if dtype == torch.float64:
        raise NotLoweredError("it computes in float64")
    # Keras casts the scale like any weight, and only then computes in float32.
    scale, epsilon = weight_of(layer.scale, dtype), layer.epsilon

    def run(tensors: Any, masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        x = cast(tensors[index], dtype).float()
        shape = x.shape[x.ndim - num_axes :]
        return functional.rms_norm(x, shape, scale().float(), epsilon).to(dtype)

    return run


def _group(layer: Any, call: Call) -> Run:
    index = call.only_tensor().index
    dtype, ndim = output_dtype(layer), layer.input_spec.ndim
    axis = layer.axis % ndim
    if axis == 0:
        raise NotLoweredError("it normalizes the batch axis")
    gamma, beta, epsilon = _optional(layer.gamma), _optional(layer.beta), layer.epsilon
    groups = layer.groups

    def kernel(x: torch.Tensor) -> torch.Tensor:
        return torch.group_norm(x, groups, gamma(), beta(), epsilon, torch.backends.cudnn.enabled)

    def run(tensors: Any, masks: Any, training: bool) -> torch.Tensor:
        del masks, training
        x = tensors[index]
        wide = _as_kernels_take(x)
        if axis == ndim - 1:
            # As an image of one column, which the kernels take channels-last.
            image = wide.reshape(len(x), -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
            y = kernel(image).permute(0, 2, 3, 1).reshape(x.shape)
        else:
            y = kernel(wide.movedim(axis, 1)).movedim(1, axis)
        return y.to(x.dtype).to(dtype)

    return run


def _optional(variable: Any) -> Read:
    """Return how to read a weight in float32 that a layer may lack."""
    return (lambda: None) if variable is None else weight_of(variable, torch.float32)


def _as_kernels_take(x: torch.Tensor) -> torch.Tensor:
    """Return x as the kernels take it beside weights in float32; they compute in that."""
    return x if x.device.type == "cpu" and x.dtype in HALVES else x.float()


def _num_trailing_axes(layer: Any) -> int:
    """Return over how many axes at the end a layer normalizes; refuse any others.

    Keras' own kernel takes any axes in a row for the last ones: what it does there stays its own.
    """
    shapes: Sequence[Any] = tuple((layer._build_shapes_dict or {}).values())
    axes = list(layer.axis)
    last = list(range(-len(axes), 0))
    if axes == last or (shapes and axes == [len(shapes[0]) + axis for axis in last]):
        return len(axes)
    raise NotLoweredError(f"it normalizes over axes {axes}, not the last ones")


RULES = (
    Rule((keras.layers.BatchNormalization,), _batch, Tolerance(5e-6, 2e-2)),
    Rule((keras.layers.LayerNormalization,), _layer, Tolerance(2e-6, 1e-2)),
    Rule((keras.layers.RMSNormalization,), _root_mean_square, Tolerance(2e-6, 1e-2)),
    Rule((keras.layers.GroupNormalization,), _group, Tolerance(5e-6, 2e-2)),
)

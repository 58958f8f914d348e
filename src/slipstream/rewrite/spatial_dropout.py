"""Drop whole channels after the convolutions of a model that exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from slipstream.rewrite.dropout import leaves_out_examples, set_rate
from slipstream.rewrite.rewiring import rewired, steps


class ConvBlock(NamedTuple):
    """A convolution and what follows it without branching.

    Args:
        key: The last call of it.
        rank: Of its output, batch axis included.
        data_format: "channels_last" or "channels_first".
        dropout: The Dropout layer in it; None where there is none.
    """

    key: tuple[int, int]
    rank: int
    data_format: str
    dropout: Any


def drop_channels(model: Any, rate: float) -> tuple[Any, list[Any]]:
    """Drop whole channels after every block of a convolution, normalization, activation, pooling.

    Dropout layers in such blocks become spatial and get the rate. Where no block has one, Keras'
    own SpatialDropout is put at the end of each.

    Args:
        model: A functional or Sequential model; layers are put only into one that
            `can_be_rewired`.
        rate: Share of the channels that are set to zero in training.

    Returns:
        The model, or one of the same layers and new ones, and the layers that drop channels.

    Source: Tompson et al., 2015, "Efficient object localization using convolutional networks"
    (arXiv:1411.4280).
    """
    blocks = conv_blocks(model)
    there = list({id(b.dropout): b for b in blocks if b.dropout is not None}.values())
    for block in there:
        set_rate(block.dropout, rate)
        if type(block.dropout) is keras.layers.Dropout:
            block.dropout.noise_shape = channel_shape(block)
    if there or not blocks:
        return model, [block.dropout for block in there]
    layers = [channel_dropout(block, rate, number) for number, block in enumerate(blocks, 1)]
    changes = {block.key: followed_by(layer) for block, layer in zip(blocks, layers, strict=True)}
    return rewired(model, changes), layers


def channel_shape(block: ConvBlock) -> tuple[int | None, ...]:
    """Return the shape of one draw for each channel of each example."""
    ones = [1] * (block.rank - 2)
    return (None, None, *ones) if block.data_format == "channels_first" else (None, *ones, None)


def conv_blocks(model: Any) -> list[ConvBlock]:
    """Return the blocks of convolutions in a model, but for those that make its outputs.

    Convolutions of single places, as in squeeze-and-excitation, are none.
    """
    found = {}
    all_steps = list(steps(model))
    outputs = {id(tensor) for step in all_steps for tensor in step.graph.outputs}
    consumers: dict[int, list[Any]] = {}
    for step in all_steps:
        for tensor in step.node.input_tensors:
            consumers.setdefault(id(tensor), []).append(step)
    for step in all_steps:
        if is_convolution(step.node.operation):
            block = block_from(step, consumers, outputs)
            if block is not None:
                found[block.key] = block
    return list(found.values())


def block_from(step: Any, consumers: dict[int, list[Any]], outputs: set[int]) -> ConvBlock | None:
    """Return the block that a convolution begins; None where channels are not to be dropped."""
    data_format = step.node.operation.data_format
    output = step.node.outputs[0]
    rank = len(output.shape)
    places = output.shape[2:] if data_format == "channels_first" else output.shape[1:-1]
    if all(length == 1 for length in places):
        return None
    dropout = None
    while True:
        output = step.node.outputs[0]
        if id(output) in outputs:
            return None
        users = consumers.get(id(output), [])
        if len(users) != 1 or len(users[0].node.outputs[0].shape) != rank:
            break
        if isinstance(users[0].node.operation, keras.layers.Dropout):
            if not leaves_out_examples(users[0].node.operation):
                step = users[0]
                dropout = step.node.operation
            break
        if not goes_on(users[0].node.operation):
            break
        step = users[0]
    return ConvBlock(step.key, rank, data_format, dropout)


def is_convolution(operation: Any) -> bool:
    """Whether an operation is a convolution with channels of its own."""
    layers = keras.layers
    return isinstance(
        operation,
        (
            *(layers.Conv1D, layers.Conv2D, layers.Conv3D),
            *(layers.DepthwiseConv1D, layers.DepthwiseConv2D),
            *(layers.SeparableConv1D, layers.SeparableConv2D),
            *(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
        ),
    )


def goes_on(operation: Any) -> bool:
    """Whether an operation belongs to the convolution before it."""
    layers = keras.layers
    return isinstance(
        operation,
        (
            *(layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization),
            *(layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU),
            *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
            *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
            *(keras.src.ops.nn.Relu, keras.src.ops.nn.Relu6, keras.src.ops.nn.Silu),
            *(keras.src.ops.nn.Gelu, keras.src.ops.nn.HardSilu),
        ),
    )


def channel_dropout(block: ConvBlock, rate: float, number: int) -> Any:
    """Return a new layer that drops channels of what a block yields."""
    name = f"spatial_dropout_after_block_{number}"
    if block.rank == 3 and block.data_format == "channels_first":
        return keras.layers.Dropout(rate, noise_shape=channel_shape(block), name=name)
    if block.rank == 3:
        return keras.layers.SpatialDropout1D(rate, name=name)
    spatial = {4: keras.layers.SpatialDropout2D, 5: keras.layers.SpatialDropout3D}
    return spatial[block.rank](rate, data_format=block.data_format, name=name)


def followed_by(layer: Any) -> Callable[..., Any]:
    """Return how to make a call with a layer after it."""
    return lambda operation, args, kwargs: layer(operation(*args, **kwargs))

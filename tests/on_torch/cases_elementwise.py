"""Cases of activations, merging, reshaping and noise."""

from __future__ import annotations

from typing import Any

import keras
from conformance import Case

L = keras.layers
STEPS = ((3, 6, 4),)
IMAGE = ((3, 5, 7, 4),)
TWO = ((3, 6, 4), (3, 6, 4))
THREE = (*TWO, (3, 6, 4))
# Keras' sparse functions and threshold are no kernels of PyTorch's.
NOT_NATIVE = ("sparse_plus", "sparse_sigmoid", "sparsemax", "threshold", "linear")
NAMES = sorted(
    name
    for name, function in vars(keras.activations).items()
    if callable(function) and name not in (*NOT_NATIVE, "get", "serialize", "deserialize")
)


def own_activation(x: Any) -> Any:
    """No activation of Keras' own."""
    return x * 2


ACTIVATIONS = (
    *(Case(f"activation_{name}", lambda n=name: L.Activation(n), STEPS, scale=3) for name in NAMES),
    Case("activation_linear", lambda: L.Activation("linear"), STEPS, masked=(0,)),
    Case("activation_own", lambda: L.Activation(own_activation), STEPS, lowered=False),
    Case("activation_sparsemax", lambda: L.Activation("sparsemax"), STEPS, lowered=False),
    Case("relu", L.ReLU, STEPS, masked=(0,)),
    Case("relu6", lambda: L.ReLU(6.0), STEPS, scale=9),
    Case("relu_capped", lambda: L.ReLU(1.5), STEPS, scale=3),
    Case("relu_sloped", lambda: L.ReLU(negative_slope=0.2), STEPS),
    Case("relu_all", lambda: L.ReLU(2.0, negative_slope=0.2, threshold=0.5), STEPS, scale=3),
    Case("relu_sloped_capped", lambda: L.ReLU(6.0, negative_slope=0.2), STEPS, scale=9),
    Case("leaky_relu", lambda: L.LeakyReLU(0.1), STEPS),
    Case("elu", lambda: L.ELU(0.7), STEPS),
    Case("prelu", L.PReLU, STEPS),
    Case("prelu_shared", lambda: L.PReLU(shared_axes=[1, 2]), IMAGE),
    Case("softmax", L.Softmax, STEPS),
    Case("softmax_axis", lambda: L.Softmax(axis=1), STEPS),
    Case("softmax_axes", lambda: L.Softmax(axis=[1, 2]), STEPS),
    Case("softmax_mask", L.Softmax, ((4, 6),), masked=(0,)),
    Case(
        "softmax_given_mask",
        L.Softmax,
        ((4, 6), (4, 6)),
        dtypes=("float32", "bool"),
        below=2,
        call=lambda layer, inputs: layer(inputs[0], mask=inputs[1]),
    ),
)

MERGING = (
    Case("add", L.Add, TWO),
    Case("add_three", L.Add, THREE),
    Case("add_broadcast", L.Add, ((3, 6, 4), (3, 1, 4))),
    Case("add_masks", L.Add, TWO, masked=(0, 1)),
    Case("add_one_mask", L.Add, TWO, masked=(1,)),
    Case("add_ranks", L.Add, ((3, 6, 4), (3, 4)), lowered=False),
    Case("add_integers", L.Add, TWO, dtypes=("int32", "float32"), lowered=False),
    Case("subtract", L.Subtract, TWO),
    Case("multiply", L.Multiply, THREE),
    Case("multiply_masks", L.Multiply, TWO, masked=(0, 1)),
    Case("multiply_one_mask", L.Multiply, TWO, masked=(1,)),
    Case("average", L.Average, THREE),
    Case("maximum", L.Maximum, THREE),
    Case("maximum_masks", L.Maximum, TWO, masked=(0, 1)),
    Case("maximum_one_mask", L.Maximum, TWO, masked=(1,)),
    Case("minimum", L.Minimum, TWO),
    Case("minimum_first_mask", L.Minimum, THREE, masked=(0,)),
    Case("concatenate", L.Concatenate, ((3, 6, 4), (3, 6, 2))),
    Case("concatenate_steps", lambda: L.Concatenate(1), ((3, 6, 4), (3, 2, 4)), masked=(0,)),
    Case("concatenate_masks", L.Concatenate, TWO, masked=(0, 1)),
)

RESHAPING = (
    Case("identity", L.Identity, STEPS, masked=(0,)),
    Case("flatten", L.Flatten, IMAGE),
    Case("flatten_numbers", L.Flatten, ((4,),)),
    Case("flatten_channels_first", lambda: L.Flatten("channels_first"), IMAGE),
    Case("flatten_integers", L.Flatten, IMAGE, dtypes=("int32",)),
    Case("reshape", lambda: L.Reshape((4, -1, 2)), STEPS),
    Case("reshape_flat", lambda: L.Reshape((24,)), STEPS),
    Case("permute", lambda: L.Permute((3, 1, 2)), IMAGE),
    Case("repeat_vector", lambda: L.RepeatVector(3), ((3, 4),)),
    Case("zero_padding1d", lambda: L.ZeroPadding1D((1, 2)), STEPS),
    Case("zero_padding2d", lambda: L.ZeroPadding2D(((1, 0), (2, 3))), IMAGE),
    Case("zero_padding2d_first", lambda: L.ZeroPadding2D(2, data_format="channels_first"), IMAGE),
    Case("cropping1d", lambda: L.Cropping1D((1, 2)), STEPS),
    Case("cropping2d", lambda: L.Cropping2D(((1, 0), (2, 3))), IMAGE),
    Case("up_sampling1d", lambda: L.UpSampling1D(3), STEPS),
    Case("up_sampling2d", lambda: L.UpSampling2D((2, 3)), IMAGE),
    Case(
        "up_sampling2d_first",
        lambda: L.UpSampling2D((3, 2), data_format="channels_first"),
        IMAGE,
    ),
    Case(
        "up_sampling2d_bilinear",
        lambda: L.UpSampling2D(interpolation="bilinear"),
        IMAGE,
        lowered=False,
    ),
    Case("rescaling", lambda: L.Rescaling(1 / 255, -0.5), IMAGE),
    Case("rescaling_bytes", lambda: L.Rescaling(1 / 255), IMAGE, dtypes=("uint8",)),
    Case(
        "rescaling_channels",
        lambda: L.Rescaling([1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 0.3, 0.4]),
        IMAGE,
    ),
)

NOISE = (
    Case("dropout", lambda: L.Dropout(0.3, seed=5), STEPS, random=True, masked=(0,)),
    Case("dropout_unseeded", lambda: L.Dropout(0.3), STEPS, random=True, advances=True),
    Case("dropout_shaped", lambda: L.Dropout(0.3, (None, 1, 4), seed=5), STEPS, random=True),
    Case("dropout_none", lambda: L.Dropout(0.0, seed=5), STEPS),
    Case("dropout_all", lambda: L.Dropout(1.0, seed=5), STEPS),
    Case("spatial_dropout1d", lambda: L.SpatialDropout1D(0.3, seed=5), STEPS, random=True),
    Case("spatial_dropout2d", lambda: L.SpatialDropout2D(0.3, seed=5), IMAGE, random=True),
    Case("gaussian_dropout", lambda: L.GaussianDropout(0.3, seed=5), STEPS),
    Case("gaussian_noise", lambda: L.GaussianNoise(0.3), STEPS),
)

CASES = (*ACTIVATIONS, *MERGING, *RESHAPING, *NOISE)

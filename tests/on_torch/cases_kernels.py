"""Cases of dense, convolution and pooling layers."""

from __future__ import annotations

import keras
from conformance import Case

L = keras.layers
IMAGE = ((3, 9, 7, 4),)
EVEN = ((3, 8, 6, 4),)
STEPS = ((3, 11, 4),)

DENSE = (
    Case("dense", lambda: L.Dense(5), ((4, 7),)),
    Case("dense_relu", lambda: L.Dense(5, "relu"), ((4, 7),)),
    Case("dense_softmax", lambda: L.Dense(5, "softmax"), ((4, 7),)),
    Case("dense_no_bias", lambda: L.Dense(5, "tanh", use_bias=False), ((4, 7),)),
    Case("dense_steps", lambda: L.Dense(5, "sigmoid"), ((3, 6, 7),), masked=(0,)),
    Case("dense_images_no_bias", lambda: L.Dense(5, use_bias=False), IMAGE),
    Case("dense_integers", lambda: L.Dense(5), ((4, 7),), dtypes=("int32",)),
    Case("dense_bytes", lambda: L.Dense(5), ((4, 7),), dtypes=("uint8",)),
    Case(
        "dense_penalized_output",
        lambda: L.Dense(5, activity_regularizer="l2"),
        ((4, 7),),
        lowered=False,
    ),
    Case("dense_low_rank", lambda: L.Dense(5, lora_rank=2), ((4, 7),), lowered=False),
)

CONVOLUTION = (
    Case("conv2d", lambda: L.Conv2D(6, 3), IMAGE),
    Case("conv2d_same", lambda: L.Conv2D(6, 3, padding="same", activation="relu"), IMAGE),
    Case("conv2d_same_stride", lambda: L.Conv2D(6, 3, 2, padding="same", use_bias=False), EVEN),
    Case("conv2d_same_uneven", lambda: L.Conv2D(6, (4, 3), padding="same"), IMAGE),
    Case("conv2d_same_wide_stride", lambda: L.Conv2D(6, (3, 2), (2, 3), padding="same"), IMAGE),
    Case("conv2d_point_stride", lambda: L.Conv2D(6, 1, 2, padding="same"), EVEN),
    Case(
        "conv2d_dilated",
        lambda: L.Conv2D(6, 3, dilation_rate=(2, 1), padding="same", activation="gelu"),
        IMAGE,
    ),
    Case("conv2d_groups", lambda: L.Conv2D(6, 3, groups=2, activation="tanh"), IMAGE),
    Case("conv2d_softmax", lambda: L.Conv2D(6, 3, activation="softmax"), IMAGE),
    Case("conv2d_gray", lambda: L.Conv2D(3, 3, padding="same"), ((3, 9, 7, 1),)),
    Case(
        "conv2d_channels_first",
        lambda: L.Conv2D(6, 3, 2, padding="same", data_format="channels_first", activation="relu"),
        IMAGE,
    ),
    Case("conv1d", lambda: L.Conv1D(6, 3, activation="relu"), STEPS),
    Case("conv1d_same_stride", lambda: L.Conv1D(6, 4, 2, padding="same"), STEPS),
    Case("conv1d_causal", lambda: L.Conv1D(6, 3, padding="causal", dilation_rate=2), STEPS),
    Case("conv1d_causal_stride", lambda: L.Conv1D(6, 3, 2, padding="causal"), STEPS),
    Case("conv1d_groups", lambda: L.Conv1D(6, 3, groups=2, padding="same"), STEPS),
    Case("conv1d_channels_first", lambda: L.Conv1D(6, 3, data_format="channels_first"), STEPS),
    Case("depthwise2d", lambda: L.DepthwiseConv2D(3, padding="same", activation="relu"), IMAGE),
    Case("depthwise2d_many", lambda: L.DepthwiseConv2D(3, 2, depth_multiplier=3), IMAGE),
    Case(
        "depthwise2d_dilated",
        lambda: L.DepthwiseConv2D((2, 3), dilation_rate=2, padding="same", use_bias=False),
        IMAGE,
    ),
    Case("depthwise1d", lambda: L.DepthwiseConv1D(3, depth_multiplier=2, padding="same"), STEPS),
    Case("separable2d", lambda: L.SeparableConv2D(6, 3, padding="same"), IMAGE),
    Case(
        "separable2d_stride",
        lambda: L.SeparableConv2D(5, 3, 2, padding="same", depth_multiplier=2, activation="relu"),
        EVEN,
    ),
    Case("separable1d", lambda: L.SeparableConv1D(6, 3, use_bias=False), STEPS),
)

POOLING = (
    Case("max2d", L.MaxPooling2D, IMAGE),
    Case("max2d_same", lambda: L.MaxPooling2D(padding="same"), IMAGE),
    Case("max2d_same_overlap", lambda: L.MaxPooling2D(3, 2, padding="same"), EVEN),
    Case("max2d_same_mixed", lambda: L.MaxPooling2D((3, 2), (2, 1), padding="same"), IMAGE),
    Case("max2d_same_even_step", lambda: L.MaxPooling2D(2, 1, padding="same"), IMAGE),
    Case("max2d_sparse", lambda: L.MaxPooling2D(2, 3, padding="same"), IMAGE),
    Case(
        "max2d_channels_first",
        lambda: L.MaxPooling2D(2, padding="same", data_format="channels_first"),
        IMAGE,
    ),
    Case("max1d", lambda: L.MaxPooling1D(3, 2), STEPS),
    Case("max1d_same", lambda: L.MaxPooling1D(4, 2, padding="same"), STEPS),
    Case("average2d", lambda: L.AveragePooling2D(2), IMAGE),
    Case("average2d_same", lambda: L.AveragePooling2D(3, 1, padding="same"), IMAGE),
    Case("average2d_same_uneven", lambda: L.AveragePooling2D(2, padding="same"), IMAGE),
    Case("average1d", lambda: L.AveragePooling1D(3), STEPS),
    Case("average1d_same", lambda: L.AveragePooling1D(2, padding="same"), STEPS),
    Case("global_average2d", L.GlobalAveragePooling2D, IMAGE),
    Case("global_average2d_keep", lambda: L.GlobalAveragePooling2D(keepdims=True), IMAGE),
    Case("global_average1d", L.GlobalAveragePooling1D, STEPS),
    Case("global_average1d_mask", L.GlobalAveragePooling1D, STEPS, masked=(0,)),
    Case(
        "global_average1d_mask_first",
        lambda: L.GlobalAveragePooling1D("channels_first", keepdims=True),
        ((3, 5, 5),),
        masked=(0,),
    ),
    Case("global_max2d", lambda: L.GlobalMaxPooling2D(keepdims=True), IMAGE),
    Case("global_max1d", L.GlobalMaxPooling1D, STEPS),
    Case("global_max2d_first", lambda: L.GlobalMaxPooling2D(data_format="channels_first"), IMAGE),
)

CASES = (*DENSE, *CONVOLUTION, *POOLING)

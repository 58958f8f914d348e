"""Cases of the normalization layers; see conformance.py."""

from __future__ import annotations

import keras
from conformance import Case

L = keras.layers

CASES = (
    Case("batch_norm_2d", L.BatchNormalization, shapes=((7, 5),)),
    Case("batch_norm_3d", lambda: L.BatchNormalization(momentum=0.9), shapes=((4, 6, 5),)),
    Case("batch_norm_many_rows", L.BatchNormalization, shapes=((64, 32, 8),)),
    Case("batch_norm_images", L.BatchNormalization, shapes=((3, 5, 4, 6),)),
    Case("batch_norm_first_axis", lambda: L.BatchNormalization(axis=1), shapes=((3, 6, 4, 5),)),
    Case("batch_norm_volumes", lambda: L.BatchNormalization(axis=2), shapes=((2, 3, 4, 2, 5),)),
    Case(
        "batch_norm_without_weights",
        lambda: L.BatchNormalization(center=False, scale=False, epsilon=1e-5),
        shapes=((6, 4),),
    ),
    Case("batch_norm_only_beta", lambda: L.BatchNormalization(scale=False), shapes=((6, 4),)),
    # A small epsilon would leave nothing but rounding of the gradient of two examples.
    Case("batch_norm_two_examples", lambda: L.BatchNormalization(epsilon=0.5), shapes=((2, 4),)),
    Case("batch_norm_masked", L.BatchNormalization, shapes=((4, 6, 5),), masked=(0,)),
    Case(
        "batch_norm_called_twice",
        lambda: L.BatchNormalization(momentum=0.8),
        shapes=((5, 4), (5, 4)),
        call=lambda layer, x: [layer(x[0]), layer(x[1])],
    ),
    Case("batch_norm_renorm", lambda: L.BatchNormalization(renorm=True), ((6, 4),), lowered=False),
    Case("layer_norm_2d", L.LayerNormalization, shapes=((5, 7),)),
    Case("layer_norm_many_rows", L.LayerNormalization, shapes=((64, 32, 8),)),
    Case("layer_norm_3d", lambda: L.LayerNormalization(epsilon=1e-6), shapes=((3, 5, 7),)),
    Case("layer_norm_two_axes", lambda: L.LayerNormalization(axis=[-2, -1]), shapes=((3, 4, 5),)),
    Case("layer_norm_positive", lambda: L.LayerNormalization(axis=(1, 2)), shapes=((3, 4, 5),)),
    Case("layer_norm_no_gamma", lambda: L.LayerNormalization(scale=False), shapes=((3, 4),)),
    Case("layer_norm_no_beta", lambda: L.LayerNormalization(center=False), shapes=((3, 4),)),
    Case("layer_norm_masked", L.LayerNormalization, shapes=((3, 4, 5),), masked=(0,)),
    Case(
        "layer_norm_apart",
        lambda: L.LayerNormalization(axis=(1, 3)),
        ((2, 3, 4, 5),),
        lowered=False,
    ),
    Case("rms_norm", L.RMSNormalization, shapes=((3, 5, 7),)),
    Case("rms_norm_two_axes", lambda: L.RMSNormalization(axis=(-2, -1)), shapes=((3, 4, 5),)),
    Case("group_norm_images", lambda: L.GroupNormalization(2), shapes=((3, 4, 5, 6),)),
    Case("group_norm_many_rows", lambda: L.GroupNormalization(2), shapes=((64, 32, 8),)),
    Case("group_norm_2d", lambda: L.GroupNormalization(2), shapes=((5, 8),)),
    Case("group_norm_3d", lambda: L.GroupNormalization(1, epsilon=1e-5), shapes=((3, 5, 6),)),
    Case("group_norm_each", lambda: L.GroupNormalization(-1), shapes=((3, 7, 2, 3, 4),)),
    Case("group_norm_axis_1", lambda: L.GroupNormalization(2, axis=1), shapes=((3, 6, 4, 5),)),
    Case(
        "group_norm_no_weights",
        lambda: L.GroupNormalization(2, center=False, scale=False),
        shapes=((3, 5, 4),),
    ),
)

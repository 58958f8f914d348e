"""Rewrites of models of keras.applications with random weights."""

import keras
import numpy as np
import pytest
from engine_help import numbers
from rewrite_help import assert_same_outputs, layers, once, outputs_of

import slipstream.rewrite as rewrite
from slipstream.errors import InputError
from slipstream.rewrite.freeze import find_base
from slipstream.rewrite.initialization import initialize

pytestmark = once
IMAGES = numbers(4, 32, 32, 3)


def application(name):
    """Return one whose weights let the images through to its outputs."""
    make = getattr(keras.applications, name)
    model = make(weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None)
    initialize(model, "he_normal")
    return model


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("MobileNetV2", 10, 15), ("ResNet50V2", 9, 14), ("EfficientNetV2B0", 15, 23)],
)
def test_deeper_ones_give_the_same(name, before, after, tmp_path):
    model = application(name)
    new, change = rewrite.scale_depth(model, 1.5)
    assert change.what == f"{before} -> {after} blocks"
    assert change.multiply_adds[1] > 1.1 * change.multiply_adds[0]
    size = np.std(outputs_of(model, IMAGES)[0])
    assert size > 1e-2
    assert_same_outputs(new, model, IMAGES, rtol=1e-3, atol=1e-3 * size)
    if name == "ResNet50V2":
        normalized, change = rewrite.add_batch_normalization(model)
        assert change.what == "BatchNormalization after 16 layers"
        assert_same_outputs(normalized, model, IMAGES, rtol=1e-3, atol=1e-3 * size)
    if name == "MobileNetV2":
        narrow, change = rewrite.scale_width(model, 0.5)
        assert change.parameters[1] < 0.3 * change.parameters[0]
        narrow.save(tmp_path / "narrow.keras")
        loaded = keras.saving.load_model(tmp_path / "narrow.keras")
        assert_same_outputs(loaded, narrow, IMAGES, rtol=0, atol=0)


def test_a_base_gives_way_to_another():
    base = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35
    )
    inputs = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(base(inputs))
    x = layers.Dense(6, name="head")(x)
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    assert find_base(model).parameters == base.count_params()
    new, change = rewrite.swap_base(model, "EfficientNetB0")
    assert (
        change.what
        == f"EfficientNetB0 in the place of '{base.name}', which rescales its inputs itself"
    )
    assert any(layer.name == "efficientnetb0" for layer in new.layers)
    # What has the same shape has the same weights.
    np.testing.assert_array_equal(
        *(keras.ops.convert_to_numpy(m.get_layer("out").kernel.value) for m in (new, model))
    )
    assert new.get_layer("head").kernel.shape[0] == 1280
    assert new.output_names == ["out"]
    assert outputs_of(new, IMAGES)[0].shape == (4, 2)
    # The base that comes next has no such layer: it is put before it.
    _, change = rewrite.swap_base(new, "MobileNet")
    assert change.what.endswith("inputs rescaled to -1 .. 1 before it")
    with pytest.raises(InputError, match="images that InceptionV3 takes"):
        rewrite.swap_base(model, "InceptionV3")
    with pytest.raises(InputError, match="the name of a model"):
        rewrite.swap_base(model, "EfficientNetV9")
    with pytest.raises(InputError, match="is built on another model"):
        rewrite.swap_base(base, "VGG16")

"""The window of BatchNormalization's averages, against the formula in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from slipstream.errors import PlanError
from slipstream.rewrite.normalization import set_batch_norm_momentum


def test_averages_follow_the_momentum_that_was_set():
    inner = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization()])
    model = keras.Sequential([keras.Input((3,)), inner, keras.layers.BatchNormalization()])
    assert set_batch_norm_momentum(model, 0.75) == 2
    x = np.random.default_rng(0).normal(2.0, 3.0, (64, 3)).astype("float32")
    model(x, training=True)
    layer = inner.layers[-1]
    expected_mean = 0.75 * 0.0 + 0.25 * x.mean(0)
    expected_variance = 0.75 * 1.0 + 0.25 * x.var(0)
    np.testing.assert_allclose(np.array(layer.moving_mean), expected_mean, rtol=1e-4)
    np.testing.assert_allclose(np.array(layer.moving_variance), expected_variance, rtol=1e-4)


def test_a_model_without_such_layers_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(PlanError, match="batch_norm_momentum = 'as_model'"):
        set_batch_norm_momentum(model, 0.9)

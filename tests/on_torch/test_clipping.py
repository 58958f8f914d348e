"""Native updates that clip, against Keras' own: weights, and what is noted of the clipping."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from test_updates import compare

from slipstream.lowering._cuda_host import _reasons
from slipstream.ops.clipping import ClipWatch
from slipstream.plan.parts import Clipping

BOUNDS = {
    "value": keras.optimizers.SGD,
    "norm": keras.optimizers.Adam,
    "global_norm": keras.optimizers.Adam,
    "adaptive": keras.optimizers.Lion,
    "quantile": keras.optimizers.Adam,
}
OF_KERAS = {"value": "clipvalue", "norm": "clipnorm", "global_norm": "global_clipnorm"}


@pytest.mark.parametrize("key", BOUNDS)
def test_native_updates_clip_and_note_as_keras_own_do(key):
    clipping = Clipping(**{key: 0.5}, window=4)

    def make(weights):
        settings = {OF_KERAS[key]: 0.5} if key in OF_KERAS else {}
        optimizer = BOUNDS[key](0.05, **settings)
        ClipWatch(optimizer, clipping, spared=weights[:1])
        return optimizer

    # It compares the variables of both, those of the watch among them.
    optimizer, _, _ = compare(make)
    noted = optimizer.clip_watch.read()
    assert noted["gradient_norm"] > 1
    assert 0 < noted["clipped_share"] <= 1
    assert not np.array(optimizer.clip_watch.totals).any()
    model = SimpleNamespace(optimizer=optimizer, trainable_variables=[])
    left = any("bound on the gradient" in reason for reason in _reasons(model, (), None))
    assert left == (key != "global_norm")

"""A worker whose memory really is limited: what does not fit ends there, and is told as that."""

import sys

import keras
import pytest

from slipstream.measure import Failed, Launch
from slipstream.measure.confine import MEMORY_VARIABLE
from slipstream.plan import Plan

# An activation of 2,048 examples takes 512 MiB, twice the limit; one of 8 examples takes 2 MiB.
TASK = """
import numpy as np
from slipstream import Task

def model():
    import keras
    return keras.Sequential([
        keras.Input((32, 32, 1)),
        keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(1),
    ])

def data():
    few = np.zeros((2048, 32, 32, 1), "float32"), np.zeros((2048, 1), "float32")
    return few, (few[0][:8], few[1][:8])

task = Task(model=model, data=data, loss="mse", monitor="val_loss")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's data")
def test_a_batch_beyond_a_real_limit_is_out_of_memory_and_a_small_one_fits(tmp_path):
    file = tmp_path / "wide.py"
    file.write_text(TASK)
    launch = Launch(str(file), variables={MEMORY_VARIABLE: str(256 * 2**20)})
    plan = Plan().edit({"runtime.backend": keras.backend.backend(), "batch.size": 8})
    with launch.worker(keras.backend.backend()) as worker:
        worker.open()
        fits = worker.probe(plan)
        assert not isinstance(fits, Failed), fits
        too_large = worker.probe(plan.edit({"batch.size": 2048}))
    assert isinstance(too_large, Failed)
    assert too_large.kind == "out_of_memory", too_large

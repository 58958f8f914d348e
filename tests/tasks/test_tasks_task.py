"""Task: what it refuses, and which way its monitor is better."""

import subprocess
import sys

import numpy as np
import pytest

from slipstream.errors import TaskError
from slipstream.task import AS_GIVEN, Task, TaskFacts


def make(**changes):
    return Task(**{"model": lambda: None, "data": lambda: None, "loss": "mse", **changes})


@pytest.mark.parametrize(
    ("monitor", "better"),
    [
        ("val_loss", "min"),
        ("val_accuracy", "max"),
        ("val_mean_absolute_error", "min"),
        ("val_mae", "min"),
        ("val_auc", "max"),
        ("val_top_5_accuracy", "max"),
        ("val_root_mean_squared_error", "min"),
        ("val_age_RMSE", "min"),
    ],
)
def test_the_direction_is_told_from_the_name(monitor, better):
    assert make(monitor=monitor).better == better


def test_a_given_direction_wins():
    assert make(monitor="val_accuracy", mode="min").better == "min"
    assert make(monitor="val_loss", mode="max").better == "max"


class Built:
    """What can be called with inputs and compiled, as Keras' models can."""

    def __call__(self, inputs):
        return inputs

    def compile(self):
        return None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": 3}, r"Task\(model=...\) to be a function without arguments; got int"),
        ({"data": (1, 2)}, r"Task\(data=...\) to be a function.*; got tuple"),
        ({"model": Built()}, r"a model that is built already \(Built\). .* without parentheses"),
        ({"callbacks": [print]}, r"Task\(callbacks=...\) to be a function.*; got list"),
        ({"monitor": "accuracy"}, "Write 'val_accuracy'"),
        ({"name": "  "}, r"Task\(name=...\) to be a word or a few; got '  '"),
        ({"name": "a\udcff"}, r"got 'a\\udcff'"),
        ({"name": 3}, "got 3"),
        ({"target": float("nan")}, r"Task\(target=...\) to be a finite number, or None; got nan"),
        ({"target": float("inf")}, "got inf"),
        ({"target": -np.inf}, "got -inf"),
        ({"target": np.float32("nan")}, "nan"),
        ({"target": 10**400}, "finite"),
        ({"target": "0.97"}, "got '0.97'"),
        ({"target": True}, "got True"),
    ],
)
def test_what_is_no_task_is_refused(changes, message):
    with pytest.raises(TaskError, match=message):
        make(**changes)


@pytest.mark.parametrize("target", [None, 0, 1, -0.5, np.float32(0.97), np.float64(0)])
def test_any_finite_target_is_a_target(target):
    assert make(target=target).target is target


def test_as_given_is_what_keras_does_on_its_own():
    assert AS_GIVEN.runtime.loop == "keras"
    assert (AS_GIVEN.optimizer.name, AS_GIVEN.schedule.peak, AS_GIVEN.batch.size) == (
        "adam",
        1e-3,
        32,
    )


def facts(mode):
    return TaskFacts(
        reference="digits",
        name="digits",
        fingerprint="f",
        data_hash="d",
        monitor="val_loss",
        mode=mode,
        target=None,
        as_given=AS_GIVEN,
        kind="classification",
        num_train=1,
        num_validation=1,
        num_test=0,
        num_classes=10,
        input_shapes={"x": (8, 8, 1)},
        input_dtypes={"x": "float32"},
        output_shapes={"y": (10,)},
        parameters=1,
        multiply_adds=1,
        layers={},
    )


def test_facts_read_back_from_json_and_know_images():
    assert TaskFacts.model_validate_json(facts("min").model_dump_json()) == facts("min")
    assert facts("min").has_image_input


def test_tasks_import_without_keras():
    code = (
        "import sys; from slipstream import tasks; "
        "[tasks.resolve(name) for name in tasks.names()]; "
        "import slipstream.tasks.hand_over; "
        "print([name for name in ('keras', 'tensorflow', 'jax', 'torch') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"

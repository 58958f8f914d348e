"""The built-in tasks' models: they take their data, and Keras trains them as given."""

import keras
import numpy as np
import pytest

from slipstream import tasks
from slipstream.data import Split, to_data
from slipstream.tasks import fashion_mnist

PARAMETERS = {
    # Sums of weights and biases, worked out by hand.
    "digits": 16 * 10 + 32 * (16 * 9 + 1) + 64 * (4 * 4 * 32 + 1) + 10 * 65,
    "breast_cancer": 32 * 31 + 33,
    "diabetes": 32 * 11 + 32 * 33 + 33,
    # Keras' GRU has two biases for each of its three gates.
    "next_character": 97 * 32 + 3 * 64 * (32 + 64 + 2) + 97 * 65,
    "digits_transfer": 65 * 64 + 65 * 32 + 33,
    "next_character_attention": (
        97 * 48 + 48 * 48 + 40 * 48
        + 2 * (2 * 2 * 48 + 4 * 48 * 49 + 192 * 49 + 48 * 193)
        + 2 * 48 + 97 * 49
    ),
    "fashion_mnist": (
        9 * 32 + 4 * 32
        + 2 * (9 * 32 * 32 + 4 * 32)
        + 9 * 32 * 64 + 9 * 64 * 64 + 2 * 4 * 64 + 32 * 64
        + 9 * 64 * 128 + 9 * 128 * 128 + 2 * 4 * 128 + 64 * 128
        + 10 * 129
    ),
}  # fmt: skip


def compiled(task):
    """Compile a task's model as a person would, without Slipstream."""
    model = task.model()
    metrics = [keras.metrics.deserialize(m) if isinstance(m, dict) else m for m in task.metrics]
    model.compile(
        optimizer=keras.optimizers.Adam(task.plan.schedule.peak),
        loss=keras.losses.deserialize(task.loss),
        metrics=metrics,
    )
    return model


def few(task):
    """Return a few training examples; made up where the real ones are large."""
    if task.name == "fashion_mnist":
        rng = np.random.default_rng(0)
        return Split(rng.random((8, 28, 28, 1), dtype=np.float32), np.arange(8))
    return to_data(task.data()).train.take(np.arange(32))


@pytest.mark.parametrize("name", tasks.names())
def test_a_model_takes_its_data_and_logs_its_monitor(name):
    task = tasks.resolve(name)
    split = few(task)
    model = compiled(task)
    assert model.count_params() == PARAMETERS[name]
    history = model.fit(
        split.x, split.y, validation_data=(split.x, split.y), batch_size=32, verbose=0
    ).history
    assert np.isfinite(history[task.monitor]).all()
    output = keras.ops.convert_to_numpy(model(split.x[:2]))
    assert output.dtype == np.float32
    # Logits, not probabilities: the losses are told so.
    assert not np.allclose(output.sum(axis=-1), 1.0, atol=1e-3)


def test_outputs_stay_in_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    for name in tasks.names():
        model = tasks.resolve(name).model()
        assert model.compute_dtype == "bfloat16" or name == "fashion_mnist"
        assert keras.backend.standardize_dtype(model.outputs[0].dtype) == "float32"


def test_breast_cancer_judges_logits_by_their_sign():
    task = tasks.resolve("breast_cancer")
    split = few(task)
    model = compiled(task)
    logits = model.predict(split.x, verbose=0)
    accuracy = model.evaluate(split.x, split.y, verbose=0, return_dict=True)["accuracy"]
    assert accuracy == pytest.approx(np.mean((logits > 0) == (split.y > 0.5)))
    # 0.5 as a threshold would judge some of these otherwise.
    assert ((logits > 0) & (logits < 0.5)).any()


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="one backend will do: the mathematics is the same"
)
def test_digits_reach_their_target_as_given():
    task = tasks.resolve("digits")
    data = to_data(task.data())
    plan = task.plan
    history = compiled(task).fit(
        data.train.x,
        data.train.y,
        batch_size=plan.batch.size,
        epochs=plan.duration.epochs,
        validation_data=(data.validation.x, data.validation.y),
        verbose=0,
    )
    assert max(history.history["val_accuracy"]) >= task.target


def test_keras_own_download_is_the_one_that_is_called(monkeypatch):
    calls = []
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", lambda: calls.append(1))
    fashion_mnist.download()
    assert calls == [1]

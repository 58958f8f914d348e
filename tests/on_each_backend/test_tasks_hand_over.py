"""Handing over: the task that comes back is the one that was given, here and in other processes."""

import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from slipstream.data import to_data
from slipstream.engine.fingerprint import fingerprint
from slipstream.errors import DataError, TaskError
from slipstream.tasks import resolve
from slipstream.tasks.hand_over import hand_over, read_notes, task_from_folder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")
OTHER = {"tensorflow": "jax", "jax": "torch", "torch": "jax"}


def classifier(*layers):
    inner = layers or (keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.5))
    return keras.Sequential([keras.Input((4,)), *inner, keras.layers.Dense(2)])


def compiled(model=None, **settings):
    model = model or classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(**{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], **settings})
    return model


def predictions(model, x=X):
    return model.predict(x, verbose=0)


def test_the_model_comes_back_with_its_weights(tmp_path):
    model = compiled()
    model.fit(X, Y, verbose=0)
    expected = predictions(model)
    folder = hand_over(model, X, Y, folder=tmp_path / "task")
    model.fit(X, Y, verbose=0)
    task = resolve(str(folder))
    rebuilt = task.model()
    np.testing.assert_array_equal(predictions(rebuilt), expected)
    assert not rebuilt.compiled
    assert task.model() is not rebuilt
    assert (task.monitor, task.target, task.plan.runtime.backend) == (
        "val_accuracy",
        None,
        keras.backend.backend(),
    )


def test_the_loss_that_comes_back_is_the_one_that_was_compiled(tmp_path):
    model = compiled(metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=1)])
    expected = model.evaluate(X, Y, verbose=0, return_dict=True)
    task = task_from_folder(hand_over(model, X, Y, folder=tmp_path))
    again = task.model()
    again.compile(
        loss=keras.losses.get(task.loss),
        metrics=[keras.metrics.get(m) if isinstance(m, dict) else m for m in task.metrics],
    )
    assert again.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(expected)


def test_another_backend_predicts_the_same(tmp_path, backend):
    model = compiled()
    folder = hand_over(model, X, Y, folder=str(tmp_path))
    code = (
        "import sys, numpy as np; from slipstream.tasks import resolve; "
        "task = resolve(sys.argv[1]); "
        "np.save(sys.argv[2], task.model().predict(task.data().train.x, verbose=0))"
    )
    out = tmp_path / "predictions.npy"
    environment = {**os.environ, "KERAS_BACKEND": OTHER[backend]}
    command = [sys.executable, "-c", code, str(folder), str(out)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    x = task_from_folder(folder).data().train.x
    np.testing.assert_allclose(np.load(out), predictions(model, x), rtol=1e-5, atol=1e-6)


def test_several_inputs_and_outputs(tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    hidden = keras.layers.Dense(8)(keras.layers.Concatenate()([a, b]))
    outputs = {
        "kind": keras.layers.Dense(2, name="kind")(hidden),
        "size": keras.layers.Dense(1, name="size")(hidden),
    }
    model = keras.Model({"a": a, "b": b}, outputs)
    model.compile(
        "sgd",
        loss={"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.5},
        metrics={"kind": ["accuracy"]},
    )
    x = {"a": X, "b": X[:, :2]}
    y = {"kind": Y, "size": X[:, :1]}
    weights = {"kind": np.ones(50, "float32"), "size": np.ones(50, "float32")}
    folder = hand_over(model, x, y, sample_weight=weights, validation_data=(x, y), folder=tmp_path)
    task = task_from_folder(folder)
    data = to_data(task.data())
    for name in ("a", "b"):
        np.testing.assert_array_equal(data.train.x[name], x[name])
        np.testing.assert_array_equal(data.validation.x[name], x[name])
    np.testing.assert_array_equal(data.train.sample_weight["size"], weights["size"])
    assert task.monitor == "val_loss" and task.loss_weights == {"kind": 1.0, "size": 0.5}
    assert task.metrics == {"kind": ["accuracy"]} and task.loss["size"] == "mse"
    rebuilt = task.model()
    for name, expected in predictions(model, x).items():
        np.testing.assert_allclose(predictions(rebuilt, data.train.x)[name], expected, rtol=1e-6)


def test_inputs_by_position_and_without_validation(tmp_path):
    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = compiled(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Add()(inputs))))
    data = task_from_folder(hand_over(model, [X, -X], Y, folder=tmp_path)).data()
    assert data.train.num_examples == 40 and data.validation.num_examples == 10
    np.testing.assert_array_equal(data.train.x[0], X[data.train.rows])
    first, second = data.train.x
    np.testing.assert_array_equal(first, -second)
    assert any("a fixed fifth" in note for note in read_notes(tmp_path))


def test_how_it_was_compiled_becomes_the_first_baseline(tmp_path):
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=1.0)
    model = compiled(optimizer=optimizer)
    folder = hand_over(
        model, X, Y, validation_data=(X, Y), folder=tmp_path, batch_size=16, epochs=3
    )
    plan = task_from_folder(folder).plan
    assert (plan.optimizer.name, plan.optimizer.momentum, plan.optimizer.nesterov) == (
        "sgd",
        0.9,
        True,
    )
    assert (plan.schedule.peak, plan.batch.size, plan.duration.epochs) == (0.05, 16, 3)
    assert plan.runtime.loop == "keras" and plan.runtime.jit == "auto"
    assert plan.clipping.norm == 1.0 and not read_notes(folder)


def test_an_explicit_jit_setting_is_kept_where_plans_have_it(tmp_path, backend):
    automatic = compiled().jit_compile
    folder = hand_over(compiled(jit_compile=not automatic), X, Y, folder=tmp_path)
    explicit = "on" if not automatic else "off"
    expected = explicit if backend == "tensorflow" else "auto"
    assert task_from_folder(folder).plan.runtime.jit == expected
    noted = [note for note in read_notes(folder) if "jit_compile" in note]
    assert len(noted) == (0 if backend == "tensorflow" else 1)


def test_the_optimizers_of_plans_are_translated_without_a_note(tmp_path):
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Lion", "ScheduleFreeAdamW"):
        model = compiled(optimizer=getattr(keras.optimizers, name)(0.01))
        folder = hand_over(model, X, Y, validation_data=(X, Y), folder=tmp_path / name)
        assert read_notes(folder) == ()
        assert task_from_folder(folder).plan.optimizer.name.replace("_", "") == name.lower()


def test_variables_excluded_from_decay_are_noticed(tmp_path):
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    folder = hand_over(compiled(optimizer=optimizer), X, Y, folder=tmp_path)
    assert not task_from_folder(folder).plan.optimizer.decay_norm_and_bias


def test_a_model_that_was_never_built_is_built_on_the_data(tmp_path):
    model = compiled(keras.Sequential([keras.layers.Dense(2)]))
    task = task_from_folder(hand_over(model, X, Y, folder=tmp_path))
    np.testing.assert_array_equal(predictions(task.model()), predictions(model))


@pytest.mark.parametrize(
    ("metrics", "monitor"),
    [
        (None, "val_loss"),
        (["sparse_categorical_crossentropy"], "val_loss"),
        (["acc"], "val_acc"),
        (
            ["sparse_categorical_crossentropy", "sparse_categorical_accuracy"],
            "val_sparse_categorical_accuracy",
        ),
    ],
)
def test_the_monitor_follows_the_metrics_as_keras_logs_them(tmp_path, metrics, monitor):
    model = compiled(metrics=metrics)
    history = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    folder = hand_over(model, X, Y, folder=tmp_path)
    assert task_from_folder(folder).monitor == monitor
    assert monitor in history


def test_a_given_monitor_and_target_are_kept(tmp_path):
    folder = hand_over(compiled(), X, Y, folder=tmp_path, monitor="val_loss", target=0.3)
    task = task_from_folder(folder)
    assert (task.monitor, task.target, task.better) == ("val_loss", 0.3, "min")


@keras.saving.register_keras_serializable("tests")
class Registered(keras.layers.Layer):
    """A layer that this process knows and no other one does."""

    def call(self, inputs):
        return inputs * 2


class OwnLoss(keras.losses.Loss):
    """A loss that no other process knows."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(y_pred, axis=-1)


def mse(y_true, y_pred):
    """Not what Keras means by that name."""
    return keras.ops.mean(y_pred, axis=-1)


class Subclassed(keras.Model):
    """A model whose class no other process knows."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (classifier, "Call model.compile"),
        (lambda: "model", "got str"),
        (lambda: compiled(loss=None), "Call model.compile"),
        (lambda: compiled(loss=mse), "a loss of Keras' own; got the function 'mse'"),
        (lambda: compiled(loss=OwnLoss()), "a loss of Keras' own; got 'OwnLoss'"),
        (lambda: compiled(metrics=[mse]), "a metric of Keras' own; got the function 'mse'"),
        (lambda: compiled(classifier(Registered())), "got the class 'Registered' of your own"),
        (lambda: compiled(classifier(keras.layers.Lambda(lambda x: x))), "lambda"),
        (lambda: compiled(Subclassed()), "got the class 'Subclassed' of your own"),
        (lambda: compiled(optimizer="ftrl"), "the optimizer Ftrl"),
    ],
)
def test_what_a_fresh_process_could_not_rebuild_is_refused(tmp_path, make, message):
    registered = dict(keras.saving.get_custom_objects())
    with pytest.raises(TaskError) as caught:
        hand_over(make(), X, Y, folder=tmp_path / "task")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "task" / "task.json").exists()
    assert keras.saving.get_custom_objects() == registered


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": Y[:-1]}, DataError, "inputs of 50, targets of 49 examples"),
        ({"y": np.array(["a", None] * 25, dtype=object)}, DataError, "of object"),
        ({"y": None}, TaskError, "no y"),
        ({"x": {"a": X, "b": 3}}, DataError, r"x of the train split\['b'\]; got a int"),
        ({"validation_data": X}, TaskError, "validation_data"),
        ({"validation_data": (X, Y[:-1])}, DataError, "validation split"),
        ({"monitor": "accuracy"}, TaskError, "val_accuracy"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        hand_over(compiled(), **{"x": X, "y": Y, "folder": tmp_path / "task", **arguments})
    assert not (tmp_path / "task").exists()


def test_a_second_hand_over_replaces_the_first(tmp_path):
    hand_over(compiled(), X, Y, folder=tmp_path)
    model = compiled()
    hand_over(model, X * 2, Y, validation_data=(X, Y), folder=tmp_path)
    task = task_from_folder(tmp_path)
    np.testing.assert_array_equal(predictions(task.model()), predictions(model))
    np.testing.assert_array_equal(task.data().train.x, X * 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "arrays.npz",
        "model.keras",
        "task.json",
    ]


def test_another_model_is_another_task_and_another_folder_is_not(tmp_path):
    model = compiled()
    first = fingerprint(task_from_folder(hand_over(model, X, Y, folder=tmp_path / "a")))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert fingerprint(task_from_folder(tmp_path / "b")) == first
    model.layers[-1].bias.assign([1.0, 2.0])
    assert fingerprint(task_from_folder(hand_over(model, X, Y, folder=tmp_path / "a"))) != first


def test_a_hand_over_that_fails_leaves_no_half_of_a_task(tmp_path, monkeypatch):
    hand_over(compiled(), X, Y, folder=tmp_path)

    def no_space(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", no_space)
    with pytest.raises(TaskError, match="No space left"):
        hand_over(compiled(), X, Y, folder=tmp_path)
    with pytest.raises(TaskError, match=r"without task\.json"):
        task_from_folder(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("part")]


@pytest.mark.parametrize("name", ["model.keras", "arrays.npz"])
def test_one_flipped_byte_is_noticed(tmp_path, name):
    task = task_from_folder(hand_over(compiled(), X, Y, folder=tmp_path))
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TaskError, match=name):
        task.model() if name == "model.keras" else task.data()
    (tmp_path / name).unlink()
    with pytest.raises(TaskError, match="no such file"):
        task.model() if name == "model.keras" else task.data()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', "\x00"])
def test_a_broken_description_is_refused(tmp_path, text):
    (tmp_path / "task.json").write_text(text)
    with pytest.raises(TaskError, match="cannot be read"):
        task_from_folder(tmp_path)


def test_a_description_of_another_version_is_refused(tmp_path):
    hand_over(compiled(), X, Y, folder=tmp_path)
    content = json.loads((tmp_path / "task.json").read_text())
    (tmp_path / "task.json").write_text(json.dumps({**content, "version": 2}))
    with pytest.raises(TaskError, match="version 2"):
        task_from_folder(tmp_path)

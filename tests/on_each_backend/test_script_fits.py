"""Every fit of a process through the engine, with a record of each: in this process."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from slipstream.record import read_record
from slipstream.script.fits import Fits
from slipstream.script.tracebacks import without_our_frames
from slipstream.script.trial import measure

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("float32")[:, None]


def layers() -> list[Any]:
    return [keras.layers.Dense(3, "relu"), keras.layers.Dense(1, "sigmoid")]


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.parts = layers()

    def call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x


class WithFit(Subclassed):
    """Has a fit of its own that ends in Keras'."""

    def fit(self, x: Any, y: Any, how_often: int) -> Any:
        return super().fit(x, y, epochs=how_often, verbose=0)


def functional() -> keras.Model:
    inputs = keras.Input((4,))
    first, second = layers()
    return keras.Model(inputs, second(first(inputs)))


def compiled(model: keras.Model) -> keras.Model:
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def fits(tmp_path: Path) -> Iterator[Fits]:
    plain = keras.Model.fit
    fits = Fits(tmp_path / "run", "train", "slipstream run train.py")
    fits.install(keras, 1.25)
    yield fits
    keras.Model.fit = plain
    assert fits.complaints == []


def test_models_of_every_kind_are_trained_and_kept(
    fits: Fits, tmp_path: Path, backend: str
) -> None:
    keras.utils.set_random_seed(5)
    models = [compiled(functional()), compiled(keras.Sequential(layers())), compiled(Subclassed())]
    for model in models:
        history = model.fit(X, Y, 8, 3, 0, validation_data=(X[:8], Y[:8]))
        assert isinstance(history, keras.callbacks.History)
        assert history is model.history
        assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    fits.finish()
    for number, model in enumerate(models, 1):
        record = read_record(tmp_path / f"run/fit_{number}")
        assert (record.task, record.backend) == (f"train, fit {number}", backend)
        assert (record.outcome, record.updates, record.epochs) == ("completed", 15, 3)
        assert (record.monitor, record.seed) == ("val_loss", 5)
        assert record.parameters == model.count_params() == 19
        assert [point.step for point in record.points] == [5, 10, 15]
        seen = [point.values["val_loss"] for point in record.points]
        assert seen == pytest.approx(model.history.history["val_loss"])
        assert record.applied["loop"] in ("slipstream", "keras")
        assert record.applied["optimizer"].startswith("Adam {")
        assert record.applied["loss"] == "binary_crossentropy"
        timings = record.timings
        assert 0 < timings.evaluate_seconds < timings.clock_seconds
        assert timings.import_seconds == 1.25
        assert record.examples_per_second == pytest.approx(120 / timings.train_seconds)
    assert "fit 2" in (tmp_path / "run/fit_2/report.html").read_text()


class Counted(keras.utils.PyDataset):
    """Five batches of eight examples."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        return X[8 * index : 8 * index + 8], Y[8 * index : 8 * index + 8]


@pytest.mark.parametrize("kind", ["generator", "dataset", "arrays with steps", "eager"])
def test_examples_are_counted_whatever_the_data_are(fits: Fits, kind: str) -> None:
    model = compiled(functional())
    if kind == "generator":
        batches = (Counted(workers=1)[index] for index in range(4))
        model.fit(batches, steps_per_epoch=2, epochs=2, verbose=0, shuffle=False)
    elif kind == "dataset":
        model.fit(Counted(workers=1), epochs=2, verbose=0)
    elif kind == "arrays with steps":
        model.fit(X, Y, batch_size=30, steps_per_epoch=2, verbose=0)
    else:
        # Keras' own loop tells nothing; what the data say of themselves is taken.
        model.compile("sgd", "mse", run_eagerly=True)
        model.fit(X, Y, epochs=2, verbose=0)
    (kept,) = fits.kept
    seen = {"generator": 32, "dataset": 80, "arrays with steps": 40, "eager": 80}[kind]
    assert kept.record.examples_per_second == pytest.approx(
        seen / kept.record.timings.train_seconds
    )


def test_data_that_do_not_say_how_many_they_are_in_keras_own_loop(fits: Fits) -> None:
    model = compiled(functional())
    model.compile("sgd", "mse", run_eagerly=True)
    batches = (Counted(workers=1)[index] for index in range(2))
    model.fit(batches, steps_per_epoch=2, verbose=0, shuffle=False)
    (kept,) = fits.kept
    assert kept.record.examples_per_second == 0.0
    assert any("not known" in note for note in kept.record.notes)


def test_an_error_of_keras_ends_where_it_would_without_us(fits: Fits) -> None:
    def shown(fit: Any) -> list[str]:
        with pytest.raises(ValueError, match="Unrecognized data type") as caught:
            fit(compiled(functional()), X, "no")
        trace = without_our_frames(caught.value.__traceback__)
        return [frame.name for frame in traceback.extract_tb(trace)]

    ours = shown(keras.Model.fit)
    assert ours == shown(fits_plain(keras.Model.fit))
    assert ours[-1] == "get_data_adapter"


def fits_plain(replaced: Any) -> Any:
    """Return Keras' own fit, which the replaced one wraps."""
    while hasattr(replaced, "__wrapped__"):
        replaced = replaced.__wrapped__
    return keras.src.utils.traceback_utils.filter_traceback(replaced)


def test_a_fit_of_the_models_own_is_called(fits: Fits) -> None:
    history = compiled(WithFit()).fit(X, Y, how_often=2)
    assert len(history.history["loss"]) == 2
    assert [kept.record.epochs for kept in fits.kept] == [2]


def test_stopping_failing_and_interrupting(fits: Fits) -> None:
    model = compiled(functional())

    def stop(*given: Any) -> None:
        model.stop_training = True

    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[stopping])

    def fail(*given: Any) -> None:
        raise LookupError("mine")

    def interrupt(*given: Any) -> None:
        raise KeyboardInterrupt

    for hook, error in ((fail, LookupError), (interrupt, KeyboardInterrupt)):
        callback = keras.callbacks.LambdaCallback(on_epoch_end=hook)
        with pytest.raises(error):
            model.fit(X, Y, epochs=4, verbose=0, callbacks=callback)
    with pytest.raises(TypeError, match="how_many"):
        model.fit(X, Y, how_many=3)
    outcomes = [kept.record.outcome for kept in fits.kept]
    assert outcomes == ["stopped_early", "failed", "interrupted"]
    failure = fits.kept[1].record.failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("LookupError", "mine")


def test_a_fit_within_a_fit(fits: Fits) -> None:
    inner, outer = compiled(functional()), compiled(functional())

    def train_other(*given: Any) -> None:
        inner.fit(X, Y, verbose=0)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=train_other)
    outer.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    assert [kept.record.epochs for kept in fits.kept] == [1, 1, 2]


def test_what_keras_runs_itself_is_named(fits: Fits) -> None:
    model = functional()
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, Y, verbose=0)
    (kept,) = fits.kept
    assert kept.record.applied["loop"] == "keras"
    assert "run_eagerly" in " ".join(kept.in_keras)
    assert set(kept.in_keras) <= set(kept.record.notes)


def test_what_cannot_be_kept_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file is in the way")
    plain = keras.Model.fit
    fits = Fits(tmp_path / "run", "train", "slipstream run train.py")
    fits.install(keras, 0.0)
    try:
        history = compiled(functional()).fit(X, Y, verbose=0)
    finally:
        keras.Model.fit = plain
    assert len(history.history["loss"]) == 1
    assert len(fits.complaints) == 1


@pytest.mark.parametrize("kind", ["arrays", "generator"])
def test_a_trial_measures_steps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipstream.script.trial.ENOUGH_SECONDS", 0.5)
    monkeypatch.setattr("slipstream.script.trial.LONG_ENOUGH", 0.05)
    if kind == "arrays":
        given: dict[str, Any] = {"x": X, "y": Y, "batch_size": 8, "validation_split": 0.2}
    else:
        given = {"x": ((X[:8], Y[:8]) for _ in iter(int, 1)), "shuffle": False}
    trial = measure(compiled(functional()), {**given, "epochs": 3})
    assert trial.updates == (12 if kind == "arrays" else None)
    assert 0 < trial.step_seconds < 1
    assert trial.first_seconds >= 0


def test_what_is_wrong_with_arrays_is_told_once_and_before_the_first_step(tmp_path: Path) -> None:
    told: list[str] = []
    fits = Fits(tmp_path / "run", "train", "slipstream run train.py", told.append)
    fit, x = keras.Model.fit, X.copy()
    x[3, 1] = np.inf
    seen: list[int] = []
    begin = keras.callbacks.LambdaCallback(on_train_begin=lambda _: seen.append(len(told)))
    fits.install(keras, 0.0)
    try:
        model = functional()
        model.compile("adam", "mse")
        for _ in range(2):
            model.fit(x, Y, verbose=0, callbacks=[begin])
    finally:
        keras.Model.fit = fit
    assert seen == [1, 1]
    assert "infinity in 1 of" in told[0] and "(row 3)" in told[0]
    assert told[0] in fits.kept[0].record.notes


@pytest.mark.parametrize("from_logits", [True, False])
def test_from_logits_that_contradicts_the_last_activation_is_told(
    fits: Fits, from_logits: bool
) -> None:
    end = "sigmoid" if from_logits else None
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, end)])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=from_logits))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y, verbose=0)
    (warning,) = fits.kept[0].warnings
    assert f"Set from_logits={not from_logits} in the loss" in warning
    assert warning in fits.kept[0].record.notes

"""Callbacks in a drop-in fit: called when Keras would, with its logs, and free to interfere."""

import re

import keras
import numpy as np
import pytest
from drop_in_help import BACKEND, Noted, assert_same_events, net, problem, same

import slipstream
from slipstream.engine.drop_in.callbacks import read_hooks

optimizers, callbacks = keras.optimizers, keras.callbacks


def fit_with(make_callbacks, **others):
    """Return arguments of a fit with new callbacks each time, and where those are kept."""
    kept = []

    def fit():
        x, y = problem(44)
        kept.append(make_callbacks())
        given = {"x": x, "y": y, "batch_size": 8, "epochs": 3, "validation_split": 0.25}
        return {**given, "callbacks": list(kept[-1]), **others}

    return fit, kept


def adam():
    """Return an optimizer with a plain rate."""
    return optimizers.Adam(0.02)


def test_events_of_epochs_come_in_keras_order_with_its_logs():
    fit, kept = fit_with(lambda: [Noted()], validation_freq=2, epochs=4, initial_epoch=1)
    both = same(lambda: net(optimizer=adam, dropout=0.2), fit)
    assert_same_events(kept[1][0].events, kept[0][0].events)
    assert both.report.updates_per_call > 1


@pytest.mark.parametrize("together", [1] if BACKEND == "torch" else [1, 3])
def test_events_of_batches_have_the_logs_of_each_batch(together):
    fit, kept = fit_with(lambda: [Noted(batches=True)], validation_split=0.0, epochs=2)
    both = same(lambda: net(optimizer=adam, dropout=0.2, steps_per_execution=together), fit)
    assert_same_events(kept[1][0].events, kept[0][0].events)
    assert both.report.updates_per_call == together
    assert any("Noted" in fallback for fallback in both.report.fallbacks)


def test_callbacks_may_set_rates_and_weights_between_epochs():
    class Meddler(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.05 / (epoch + 1)

        def on_epoch_end(self, epoch, logs=None):
            self.model.layers[0].kernel.assign(self.model.layers[0].kernel * 0.5)
            seen.append(self.model.evaluate(*problem(9), verbose=0, return_dict=True)["loss"])
            seen.append(float(self.model.predict(problem(9)[0], verbose=0).sum()))

    seen = []
    fit, _ = fit_with(
        lambda: [Meddler(), callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)]
    )
    both = same(lambda: net(optimizer=adam), fit)
    assert both.our_history.history["learning_rate"][-1] == pytest.approx(0.05 / 3 * 0.9)
    assert seen[6:] == pytest.approx(seen[:6], rel=1e-4, abs=1e-4)


def test_callbacks_may_set_rates_and_weights_between_batches():
    class Meddler(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.05 / (batch + 1)

        def on_train_batch_end(self, batch, logs=None):
            if batch % 2:
                self.model.layers[-1].bias.assign(self.model.layers[-1].bias + 0.1)

    fit, _ = fit_with(lambda: [Meddler()], epochs=2)
    same(lambda: net(optimizer=adam), fit)


def test_a_stop_before_an_epoch_comes_after_one_update():
    def stop(epoch, logs):
        model.stop_training = epoch == 1

    x, y = problem(44)
    model = net(optimizer=adam)
    begin = callbacks.LambdaCallback(on_epoch_begin=stop)
    slipstream.fit(model, x, y, batch_size=8, epochs=5, verbose=0, callbacks=[begin])
    assert int(model.optimizer.iterations) == 6 + 1


def test_a_stop_within_an_epoch_and_a_stop_between_epochs():
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                self.model.stop_training = True

    fit, _ = fit_with(lambda: [Stop()])
    assert same(lambda: net(optimizer=adam), fit).our_history.epoch == [0]

    fit, _ = fit_with(
        lambda: [
            callbacks.EarlyStopping(
                "val_loss", patience=1, min_delta=10.0, restore_best_weights=True
            )
        ],
        epochs=6,
    )
    assert same(lambda: net(optimizer=adam), fit).our_history.epoch == [0, 1]


def test_files_that_callbacks_write_are_the_same(tmp_path):
    def make_callbacks():
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return [
            callbacks.ModelCheckpoint(
                str(folder / "best.weights.h5"), save_best_only=True, save_weights_only=True
            ),
            callbacks.CSVLogger(str(folder / "log.csv")),
            callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: (folder / f"{epoch}.txt").write_text(str(epoch))
            ),
        ]

    fit, _ = fit_with(make_callbacks)
    both = same(lambda: net(optimizer=adam), fit)
    theirs, ours = sorted(tmp_path.iterdir())
    assert both.report.updates_per_call > 1
    assert {p.name for p in ours.iterdir()} == {p.name for p in theirs.iterdir()}
    rows = [
        np.genfromtxt(folder / "log.csv", delimiter=",", names=True) for folder in (ours, theirs)
    ]
    np.testing.assert_allclose(rows[0].tolist(), rows[1].tolist(), 1e-4)
    both.ours.load_weights(ours / "best.weights.h5")
    both.theirs.load_weights(theirs / "best.weights.h5")
    for one, two in zip(both.ours.get_weights(), both.theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, 1e-4, 2e-5)


def test_an_interrupted_fit_goes_on_from_its_backup(tmp_path):
    x, y = problem(44)

    def run(function, folder, stop):
        keras.utils.set_random_seed(5)
        model = net(optimizer=adam)
        chain = [callbacks.BackupAndRestore(str(folder))]
        if stop:

            def interrupt(epoch, logs):
                if epoch == 1:
                    raise RuntimeError("interrupted")

            chain.append(callbacks.LambdaCallback(on_epoch_begin=interrupt))
        given = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, "callbacks": chain}
        return model, function(model, x=x, y=y, **given)

    weights = []
    for name, function in (("ours", slipstream.fit), ("theirs", lambda m, **o: m.fit(**o))):
        with pytest.raises(RuntimeError, match="interrupted"):
            run(function, tmp_path / name, stop=True)
        model, history = run(function, tmp_path / name, stop=False)
        assert history.epoch == [1, 2]
        weights.append(model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, 1e-4, 2e-5)


def test_an_error_of_a_callback_leaves_what_was_learned_in_the_model():
    def fail(epoch, logs):
        raise ValueError("enough")

    x, y = problem(40)
    model = net(optimizer=adam)
    before = model.get_weights()
    with pytest.raises(ValueError, match="enough"):
        slipstream.fit(
            model, x, y, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_end=fail)]
        )
    assert max(np.abs(a - b).max() for a, b in zip(before, model.get_weights(), strict=True)) > 0.01
    assert int(model.optimizer.iterations) == 2
    assert np.isfinite(model.evaluate(x, y, verbose=0)[0])


@pytest.mark.parametrize("by_epoch", [False, True])
def test_averaged_weights_are_swapped_as_keras_does(by_epoch):
    def averaging():
        return optimizers.SGD(0.2, use_ema=True, ema_momentum=0.7)

    fit, kept = fit_with(
        lambda: [callbacks.SwapEMAWeights(swap_on_epoch=by_epoch), Noted()], epochs=2
    )
    same(lambda: net(optimizer=averaging), fit)
    assert_same_events(kept[1][1].events, kept[0][1].events)


def test_reduce_on_plateau_with_a_plain_rate():
    fit, _ = fit_with(
        lambda: [callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10.0)]
    )
    both = same(lambda: net(optimizer=adam), fit)
    assert both.our_history.history["learning_rate"] == pytest.approx([0.02, 0.02, 0.01])


@pytest.mark.parametrize("eagerly", [False, True], ids=["engine", "keras"])
def test_reduce_on_plateau_over_a_schedule(eagerly):
    """Six updates at each rate; a factor comes after the second epoch, and after the third."""
    schedule = optimizers.schedules.PiecewiseConstantDecay([5, 11, 17], [0.4, 0.3, 0.2, 0.1])
    x, y = problem(48)
    keras.utils.set_random_seed(3)
    model = net(optimizer=lambda: optimizers.SGD(schedule), run_eagerly=eagerly)
    start = model.get_weights()
    plateau = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10.0)
    given = {"batch_size": 8, "epochs": 4, "shuffle": False, "verbose": 0}
    history = slipstream.fit(model, x, y, callbacks=[plateau], **given)
    assert history.slipstream.loop == ("keras" if eagerly else "slipstream")
    # Read after an epoch's last update, the schedule stands at the rate of the next one.
    assert history.history["learning_rate"] == pytest.approx([0.3, 0.2, 0.05, 0.025])
    assert "_reduce_optimizer_lr" not in vars(plateau)

    expected = net(optimizer=lambda: optimizers.SGD(0.4))
    expected.set_weights(start)
    rates = [0.4, 0.3, 0.1, 0.025]
    expected.fit(x, y, callbacks=[callbacks.LearningRateScheduler(lambda e: rates[e])], **given)
    for one, two in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, 1e-4, 2e-5)


def test_a_scaled_schedule_is_saved_with_its_model(tmp_path):
    from slipstream.engine.drop_in.schedule import ScaledSchedule

    schedule = ScaledSchedule(optimizers.schedules.ExponentialDecay(0.5, 1, 0.5), 0.1)
    model = net(optimizer=lambda: optimizers.SGD(schedule))
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras").optimizer
    assert float(loaded.learning_rate) == pytest.approx(0.05)


def test_the_progress_bar_is_keras_own(capsys):
    x, y = problem(44)
    outputs = []
    for function in (slipstream.fit, lambda m, *d, **o: m.fit(*d, **o)):
        keras.utils.set_random_seed(1)
        model = net(optimizer=adam)
        function(model, x, y, batch_size=8, epochs=2, shuffle=False, verbose=1)
        outputs.append(capsys.readouterr().out)
    ours, theirs = (_final_lines(text) for text in outputs)
    assert ours == theirs
    assert len(ours) == 4


@pytest.mark.parametrize(
    ("make", "is_per_batch"),
    [
        (lambda at: callbacks.ModelCheckpoint(f"{at}/net.keras"), False),
        (lambda at: callbacks.ModelCheckpoint(f"{at}/net.keras", save_freq=2), True),
        (callbacks.BackupAndRestore, False),
        (lambda at: callbacks.BackupAndRestore(at, save_freq=2), True),
        (callbacks.TensorBoard, False),
        (lambda at: callbacks.TensorBoard(at, update_freq="batch"), True),
        (lambda at: callbacks.TensorBoard(at, write_steps_per_second=True), True),
        (lambda at: callbacks.TerminateOnNaN(), True),
        (lambda at: callbacks.EarlyStopping(), False),
        (lambda at: callbacks.ReduceLROnPlateau(), False),
        (lambda at: callbacks.CSVLogger(f"{at}/log.csv"), False),
        (lambda at: callbacks.LambdaCallback(on_train_batch_begin=print), True),
        (lambda at: callbacks.SwapEMAWeights(), False),
    ],
)
def test_which_of_keras_callbacks_want_each_batch(make, is_per_batch, tmp_path):
    chain = callbacks.CallbackList(
        [make(str(tmp_path))], add_history=True, add_progbar=True, model=net(), verbose=1, epochs=1,
        steps=1,
    )  # fmt: skip
    hooks = read_hooks(chain)
    assert hooks.is_per_batch is is_per_batch
    assert hooks.has_users
    assert hooks.shows_progress


def _final_lines(text):
    """Return what stands on the screen at the end, without colours and times."""
    lines = [line.rsplit("\b", 1)[-1].rsplit("\r", 1)[-1] for line in text.splitlines()]
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines if line.strip()]
    return [re.sub(r"\d+[mun]?s(/step|/epoch)?", "", line).split() for line in plain]

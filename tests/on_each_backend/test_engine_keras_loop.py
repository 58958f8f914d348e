"""Keras' own loop, observed: it is Keras' fit, noted down."""

import keras
import numpy as np
import pytest
from engine_help import JIT, NUM_FEATURES, data, dense_net, plan, sparse_loss, task

from slipstream.backends.seeding import set_random_seed
from slipstream.engine import Limits, train

KERAS = {"runtime.loop": "keras"}


def plain_fit(optimizer, callbacks=()):
    """What a user of Keras writes."""
    set_random_seed(0)
    model = dense_net()
    model.compile(
        optimizer,
        loss=keras.losses.deserialize(sparse_loss()),
        metrics=["accuracy"],
        jit_compile=JIT != "off" and "auto",
    )
    train_, validation = data(45).train, data(45).validation
    history = model.fit(
        train_.x,
        train_.y,
        batch_size=8,
        epochs=3,
        validation_data=(validation.x, validation.y),
        verbose=0,
        callbacks=list(callbacks),
    )
    return model, history.history


@pytest.mark.parametrize("changes", [{}, {"optimizer.momentum": 0.9, "clipping.global_norm": 0.5}])
def test_it_equals_plain_fit(changes):
    settings = {"momentum": 0.9, "global_clipnorm": 0.5} if changes else {}
    _, history = plain_fit(keras.optimizers.SGD(0.1, **settings))
    record = train(task(), plan({**KERAS, **changes}), data=data(45))
    assert record.outcome == "completed"
    assert [point.step for point in record.points] == [6, 12, 18]
    for name, values in history.items():
        assert [p.values[name] for p in record.points] == pytest.approx(values, rel=1e-4), name


def test_a_schedule_has_its_rate_at_every_update(tmp_path):
    """On a loss that is linear in the one weight, SGD sums up the rates."""
    from slipstream.data.splits import Data, Split
    from slipstream.ops.schedules import learning_rates

    def net():
        layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        return keras.Sequential([keras.Input((1,)), layer])

    def minus_prediction(y, prediction):
        return -prediction[:, 0] + 0 * keras.ops.cast(y, "float32")

    part = Split(np.ones((40, 1), "float32"), np.zeros(40, "float32"))
    plan_ = plan({**KERAS, "schedule.name": "cosine", "schedule.warmup": 0.2})
    record = train(
        task(net, loss=minus_prediction, metrics=()),
        plan_,
        data=Data(part, part, part),
        folder=tmp_path,
        evaluate_test=True,
    )
    rates = learning_rates(plan_.schedule, 15)
    expected = [-rates[: 5 * (epoch + 1)].sum() for epoch in range(3)]
    assert [p.values["val_loss"] for p in record.points] == pytest.approx(expected, rel=1e-4)
    assert record.outcome == "completed"
    assert record.test_values["loss"] == pytest.approx(expected[-1], rel=1e-4)


def test_best_weights_are_restored_and_saved(tmp_path):
    changes = {
        **KERAS,
        "duration.restore_best": True,
        "schedule.peak": 3.0,
        "optimizer.momentum": 0.9,
    }
    record = train(task(), plan(changes), data=data(45), folder=tmp_path, evaluate_test=True)
    losses = [point.values["val_loss"] for point in record.points]
    assert record.best_value == min(losses)
    model = dense_net()
    model.load_weights(tmp_path / "best.weights.h5")
    model.compile(loss=keras.losses.deserialize(sparse_loss()))
    for part, value in (("validation", record.best_value), ("test", record.test_values["loss"])):
        split = getattr(data(45), part)
        judged = model.evaluate(split.x, split.y, verbose=0, return_dict=True)
        assert value == pytest.approx(judged["loss"], rel=1e-4)


def test_averaged_weights_are_judged(tmp_path):
    changes = {**KERAS, "optimizer.ema": 0.9, "schedule.peak": 0.5}
    record = train(task(), plan(changes), data=data(45), folder=tmp_path)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    model, history = plain_fit(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9), [swap])
    assert [p.values["val_loss"] for p in record.points] == pytest.approx(
        history["val_loss"], rel=1e-4
    )
    saved = dense_net()
    saved.load_weights(tmp_path / "best.weights.h5")
    saved.compile(loss=keras.losses.deserialize(sparse_loss()))
    validation = data(45).validation
    judged = saved.evaluate(validation.x, validation.y, verbose=0, return_dict=True)["loss"]
    assert judged == pytest.approx(record.points[-1].values["val_loss"], rel=1e-4)
    np.testing.assert_allclose(
        saved.predict(validation.x, verbose=0), model.predict(validation.x, verbose=0), rtol=1e-3
    )


def test_a_limit_in_the_middle_of_an_epoch():
    record = train(task(), plan(KERAS), data=data(45), limits=Limits(updates=8))
    assert (record.outcome, record.updates) == ("limit_reached", 8)
    assert record.epochs == pytest.approx(8 / 6)


def test_several_steps_per_execution(backend):
    if backend == "torch":
        pytest.skip("Keras has one step per execution on torch")
    changes = {**KERAS, "runtime.steps_per_execution": 4}
    record = train(task(), plan(changes), data=data(45))
    assert record.failure is None
    assert [point.step for point in record.points] == [6, 12, 18]
    assert record.epochs == 3.0


def test_patience_ends_it():
    from slipstream.data.splits import Data, Split

    flat = Split(np.zeros((8, NUM_FEATURES), "float32"), np.zeros(8, "int64"))

    def net():
        layer = keras.layers.Dense(3, use_bias=False, name="logits")
        return keras.Sequential([keras.Input((NUM_FEATURES,)), layer])

    changes = {**KERAS, "duration.epochs": 9, "duration.patience": 2}
    record = train(task(net), plan(changes), data=Data(data().train, flat))
    assert (record.outcome, len(record.points)) == ("stopped_early", 3)

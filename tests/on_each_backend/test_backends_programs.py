"""Programs by themselves: the optimizer's own rate, metrics looked at, state handed to and fro."""

import keras
import numpy as np
import pytest
from engine_help import JIT, NUM_FEATURES, assert_same_weights, moved, numbers, split

from slipstream.backends import open_program, restore_state, state_of

BATCH = 8
schedules = keras.optimizers.schedules
OPTIMIZERS = {
    "a number": lambda: keras.optimizers.Adam(0.01),
    "a schedule": lambda: keras.optimizers.SGD(
        schedules.PiecewiseConstantDecay([1, 3], [0.2, 0.1, 0.01]), momentum=0.9
    ),
    "a schedule and decoupled decay": lambda: keras.optimizers.AdamW(
        schedules.ExponentialDecay(0.02, 2, 0.5), weight_decay=0.1, global_clipnorm=0.5
    ),
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(schedules.ExponentialDecay(0.2, 2, 0.5)), dynamic_growth_steps=2
    ),
    "accumulation": lambda: keras.optimizers.SGD(0.2, momentum=0.9, gradient_accumulation_steps=2),
    "averaged weights": lambda: keras.optimizers.Adam(
        0.01, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2
    ),
}


def compiled(optimizer, net=None):
    """Return a compiled model of which every variable is built."""
    model = net() if net else dense_net()
    model.compile(
        optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=JIT != "off" and "auto",
    )
    part = split(2)
    model._symbolic_build(data_batch=(shaped(model, part.x), part.y, None))
    return model


def dense_net():
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES,)),
            keras.layers.Dense(6, activation="tanh"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Dense(3),
        ]
    )


def convolutional_net():
    return keras.Sequential(
        [
            keras.Input((NUM_FEATURES, 1)),
            keras.layers.Conv1D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


def shaped(model, x):
    return x.reshape(len(x), *model.input_shape[1:])


def examples(model, updates):
    """Return inputs and labels of so many updates, as (updates, micro-batches, examples, ...)."""
    part = split(updates * BATCH)
    shape = (updates, 1, BATCH)
    x = shaped(model, part.x)
    return x.reshape(*shape, *x.shape[1:]), part.y.reshape(shape), None


def at(block, index):
    """Return one update of a block as x and y."""
    x, y, _ = block
    return x[index, 0], y[index, 0]


def portion(block, start, end, size):
    """Return updates of a block, padded to a size."""
    x, y, _ = block
    padding = [start] * (size - (end - start))
    chosen = [*range(start, end), *padding]
    return x[chosen], y[chosen], None


def opened(model, backend):
    return open_program(model, backend, jit=False)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_rates_the_optimizer_keeps_its_own(name, backend):
    ours, theirs = compiled(OPTIMIZERS[name]()), compiled(OPTIMIZERS[name]())
    start = state_of(ours)
    restore_state(theirs, start)
    block = examples(ours, 6)
    program = opened(ours, backend)
    program.train(portion(block, 0, 3, 3), None, 3)
    program.train(portion(block, 3, 5, 3), None, 2)
    x, y = at(block, 5)
    program.train_ragged([(x, y, None)], None)
    program.synchronize()
    logged = [theirs.train_on_batch(*at(block, i), return_dict=True) for i in range(6)]
    expected = state_of(theirs).variables
    assert moved(start.variables.values(), expected.values()) > 0.01
    for place, value in state_of(ours).variables.items():
        np.testing.assert_allclose(value, expected[place], rtol=2e-5, atol=2e-6, err_msg=place)
    means = {name: np.mean([float(logs[name]) for logs in logged]) for name in logged[0]}
    assert program.read_metrics() == pytest.approx(means, rel=1e-5)


def test_an_update_of_unequal_batches_keeps_the_rate_of_a_schedule(backend):
    def optimizer():
        return keras.optimizers.SGD(schedules.PiecewiseConstantDecay([0], [0.3, 0.1]))

    def net():
        return keras.Sequential([keras.Input((NUM_FEATURES,)), keras.layers.Dense(3)])

    ours, theirs = compiled(optimizer(), net), compiled(optimizer(), net)
    theirs.set_weights(ours.get_weights())
    part = split(20)
    batches = [(part.x[some], part.y[some], None) for some in (slice(12), slice(12, 20))]
    program = opened(ours, backend)
    for _ in range(2):
        program.train_ragged(batches, None)
        theirs.train_on_batch(part.x, part.y)
    program.synchronize()
    assert_same_weights(ours.get_weights(), theirs.get_weights())


def test_looking_at_metrics_does_not_reset_them(backend):
    model = compiled(keras.optimizers.SGD(0.1))
    block = examples(model, 4)
    program = opened(model, backend)
    rates = np.zeros(2, np.float32)
    program.train(portion(block, 0, 2, 2), rates, 2)
    first = program.peek_metrics()
    assert first == program.peek_metrics()
    assert set(first) == {"loss", "accuracy"}
    program.train(portion(block, 2, 4, 2), rates, 2)
    both = program.peek_metrics()
    assert both == program.read_metrics()
    program.train(portion(block, 2, 4, 2), rates, 2)
    second = program.read_metrics()
    # Rates of zero: the weights are the same, so metrics over all are the means of the halves.
    for metric in first:
        assert both[metric] == pytest.approx((first[metric] + second[metric]) / 2, rel=1e-5)
    assert first["loss"] != pytest.approx(second["loss"], rel=1e-3)
    assert program.peek_metrics()["accuracy"] == 0.0


def test_metrics_outlast_handing_over_and_an_evaluation_by_keras(backend):
    model = compiled(keras.optimizers.SGD(0.1))
    block = examples(model, 2)
    program = opened(model, backend)
    program.train(portion(block, 0, 1, 1), np.full(1, 0.1, np.float32), 1)
    program.synchronize()
    before = program.peek_metrics()
    assert before == pytest.approx(
        {name: float(value) for name, value in model.get_metrics_result().items()}
    )
    weights = model.get_weights()
    program.resume()
    program.train(portion(block, 1, 2, 1), np.full(1, 0.1, np.float32), 1)
    program.synchronize()
    assert moved(weights, model.get_weights()) > 1e-3
    assert program.read_metrics()["loss"] != pytest.approx(before["loss"], rel=1e-4)


def test_keras_may_use_and_change_the_model_between_calls(backend):
    model = compiled(keras.optimizers.SGD(0.1))
    block = examples(model, 1)
    program = opened(model, backend)
    program.train(block, np.full(1, 0.1, np.float32), 1)
    program.synchronize()
    x = numbers(BATCH, NUM_FEATURES)
    model.evaluate(x, np.zeros(BATCH), verbose=0)
    model.predict(x, verbose=0)
    zeros = [np.zeros_like(weight) for weight in model.get_weights()]
    model.set_weights(zeros)
    model.optimizer.learning_rate = 0.0
    program.resume()
    program.train(block, None, 1)
    program.synchronize()
    trainable = [np.array(variable) for variable in model.trainable_variables]
    assert all(not weight.any() for weight in trainable)
    assert int(model.optimizer.iterations) == 2


def test_convolutions_learn_the_same_however_updates_are_packed(backend):
    one, many = (compiled(keras.optimizers.SGD(0.1), convolutional_net) for _ in range(2))
    many.set_weights(one.get_weights())
    block = examples(one, 4)
    rates = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    single, packed = opened(one, backend), opened(many, backend)
    for index in range(3):
        single.train(portion(block, index, index + 1, 1), rates[index : index + 1], 1)
    packed.train(block, rates, 3)
    single.synchronize()
    packed.synchronize()
    assert_same_weights(many.get_weights(), one.get_weights())

"""The loss around some weights, and its sharpness, against NumPy's own Hessian."""

import h5py
import keras
import numpy as np
import pytest
from engine_help import Run, plan, task

from slipstream.data.splits import Data, Split
from slipstream.engine import landscape as under_test
from slipstream.engine.landscape import landscape
from slipstream.errors import RecordError
from slipstream.loss_surface import LandscapeSettings
from slipstream.ops.directions import filter_normalized

NUM_INPUTS, NUM_HIDDEN, NUM_OUTPUTS = 3, 4, 2


def tiny_net():
    return keras.Sequential(
        [
            keras.Input((NUM_INPUTS,)),
            keras.layers.Dense(NUM_HIDDEN, "tanh"),
            keras.layers.Dense(NUM_OUTPUTS),
        ]
    )


def examples():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20, NUM_INPUTS)).astype("float32")
    y = generator.normal(size=(20, NUM_OUTPUTS)).astype("float32")
    return Data(Split(x, y), Split(x[:5], y[:5]))


def loss_of(flat, x, y):
    """Return the mean squared error of the tiny net at a vector of weights, in float64."""
    w1, b1, w2, b2 = np.split(
        flat,
        np.cumsum([NUM_INPUTS * NUM_HIDDEN, NUM_HIDDEN, NUM_HIDDEN * NUM_OUTPUTS]),
    )
    hidden = np.tanh(x @ w1.reshape(NUM_INPUTS, NUM_HIDDEN) + b1)
    return np.mean((hidden @ w2.reshape(NUM_HIDDEN, NUM_OUTPUTS) + b2 - y) ** 2)


def hessian(function, at, step=1e-4):
    """Return all second differences."""
    size = len(at)
    unit = step * np.eye(size)
    values = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            values[i, j] = (
                function(at + unit[i] + unit[j])
                - function(at + unit[i] - unit[j])
                - function(at - unit[i] + unit[j])
                + function(at - unit[i] - unit[j])
            )
    return values / (4 * step**2)


@pytest.fixture(scope="module")
def seen():
    """A built net with weights of its own, and the landscape around them."""
    run = Run(task(tiny_net, loss="mse", metrics=[]), plan({"batch.size": 10}), examples()).go()
    before = run.model.get_weights()
    found = landscape(run.built, examples(), LandscapeSettings(points=3, span=0.5, seed=4))
    for mine, other in zip(run.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, other)
    return run, found


def exact(run):
    x, y = examples().train.x.astype(float), examples().train.y.astype(float)
    flat = np.concatenate([weight.ravel() for weight in run.model.get_weights()]).astype(float)
    return np.linalg.eigvalsh(hessian(lambda at: loss_of(at, x, y), flat))[-1]


def test_the_largest_eigenvalue_is_that_of_the_exact_hessian(seen):
    run, found = seen
    assert found.sharpness == pytest.approx(exact(run), rel=1e-3)
    assert found.method == "differentiated twice"


def test_differences_of_gradients_take_over_where_nothing_is_differentiated_twice(
    seen, monkeypatch
):
    run, _ = seen

    def fail(*_):
        raise NotImplementedError("no second derivative")

    monkeypatch.setattr(under_test._Surface, "_product", fail)
    found = landscape(run.built, examples(), LandscapeSettings(points=3, span=0.5))
    assert found.method == "differences of gradients"
    assert found.sharpness == pytest.approx(exact(run), rel=2e-2)


def test_the_surface_is_the_loss_along_both_directions(seen):
    run, found = seen
    weights = run.model.get_weights()
    axes = [(1,), (), (1,), ()]
    first, second = (filter_normalized(weights, axes, seed) for seed in (8, 9))
    assert found.steps == (-0.5, 0.0, 0.5)
    x, y = examples().train.x, examples().train.y
    for row, b in zip(found.losses, found.steps, strict=True):
        for loss, a in zip(row, found.steps, strict=True):
            parts = [w + a * d + b * e for w, d, e in zip(weights, first, second, strict=True)]
            flat = np.concatenate([part.ravel() for part in parts])
            assert loss == pytest.approx(loss_of(flat, x, y), rel=1e-4)
    assert found.loss == found.losses[1][1]
    assert found.examples == 20


def test_a_plan_asks_for_it(tmp_path):
    from slipstream.engine import train
    from slipstream.loss_surface import read_landscape

    settings = {"batch.size": 10, "duration.epochs": 1, "monitoring.landscape": True}
    record = train(
        task(tiny_net, loss="mse", metrics=[]), plan(settings), data=examples(), folder=tmp_path
    )
    found = read_landscape(tmp_path)
    assert record.applied["monitoring.landscape"] == found.sentence()
    assert len(found.losses) == len(found.losses[0]) == 15
    assert found.losses[7][7] == found.loss < found.losses[0][0]


def test_weights_that_lie_elsewhere_are_refused_before_keras_reads_them(tmp_path, monkeypatch):
    from slipstream.engine import train

    file, settings = tmp_path / "best.weights.h5", LandscapeSettings(points=3, examples=20)
    one, followed = task(tiny_net, loss="mse", metrics=[]), plan({"duration.epochs": 1})
    train(one, followed, data=examples(), folder=tmp_path)
    given = one, followed, file, examples()
    assert len(under_test.landscape_of(*given, settings).losses) == 3
    with h5py.File(file, "a") as opened:
        names = []
        opened.visit(names.append)
        place = next(name for name in names if isinstance(opened[name], h5py.Dataset))
        del opened[place]
        opened[place] = h5py.ExternalLink("/dev/zero", "/x")
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: pytest.fail("Keras reads it"))
    with pytest.raises(RecordError, match="a link to somewhere else") as caught:
        under_test.landscape_of(*given, settings)
    assert caught.value.code == "SLP-638"

"""Every optimizer of a plan: twenty updates against its formula in NumPy, and what all share."""

from contextlib import nullcontext
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from slipstream.engine.optimizers import build_optimizer, is_built_early
from slipstream.ops.optimizer_extras import Extras, extended, rate_factors
from slipstream.ops.optimizers import Adafactor, Lars, ScheduleFreeAdamW
from slipstream.plan import Plan

RATE, DECAY, UPDATES = 0.05, 0.1, 20
SHAPES = [(4, 3), (3,), (3, 2), (2,)]
TARGETS = [np.random.default_rng(7).normal(size=shape) for shape in SHAPES]


def net():
    """A model whose hidden matrix, output matrix and biases an optimizer moves."""
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((4,)), dense(3, name="one"), dense(2, name="two")])
    random = np.random.default_rng(3)
    model.set_weights([random.normal(size=shape).astype("float32") for shape in SHAPES])
    return model


def gradients(weights):
    """The gradients of a smooth, uneven loss at these weights."""
    return [
        (i + 1) * (w - t) + 0.3 * np.sin(3 * w)
        for i, (w, t) in enumerate(zip(weights, TARGETS, strict=True))
    ]


def apply(optimizer, model, grads):
    """Make an update as the backend's program does."""
    tensors = [ops.convert_to_tensor(np.asarray(g, "float32")) for g in grads]
    variables = model.trainable_variables
    if keras.backend.backend() == "jax":
        if not optimizer.built:
            optimizer.build(variables)
        values = [[v.value for v in group] for group in (optimizer.variables, variables)]
        new_weights, new_state = optimizer.stateless_apply(values[0], tensors, values[1])
        news = zip([*variables, *optimizer.variables], [*new_weights, *new_state], strict=True)
        for variable, value in news:
            variable.assign(value)
        return
    no_grad = nullcontext()
    if keras.backend.backend() == "torch":
        import torch

        no_grad = torch.no_grad()
    with no_grad:
        optimizer.apply(tensors, variables)


def step(optimizer, model, times=1):
    for _ in range(times):
        apply(optimizer, model, gradients([w.astype("float64") for w in model.get_weights()]))


WITHOUT_BETA_2 = ("sgd", "rmsprop", "adagrad", "adadelta", "adafactor", "lars")


def plan_of(name, changes=None):
    momentum = {"optimizer.momentum": 0.9} if name in ("sgd", "lars") else {}
    decay = {} if name in WITHOUT_BETA_2 else {"optimizer.beta_2": 0.99}
    return Plan().edit(
        {
            "optimizer.name": name,
            **decay,
            "optimizer.weight_decay": DECAY,
            **momentum,
            **(changes or {}),
        }
    )


def sgd(w, g, s, t, kind):
    s["m"] = 0.9 * s.get("m", 0) - RATE * g
    return w + s["m"]


def _moments(g, s):
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * g**2


def adam(w, g, s, t, kind):
    _moments(g, s)
    rate = RATE * np.sqrt(1 - 0.99**t) / (1 - 0.9**t)
    return w - rate * s["m"] / (np.sqrt(s["v"]) + 1e-7)


def nadam(w, g, s, t, kind):
    _moments(g, s)
    u, u_next = (0.9 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
    s["product"] = s.get("product", 1.0) * u
    m_hat = u_next * s["m"] / (1 - s["product"] * u_next) + (1 - u) * g / (1 - s["product"])
    return w - RATE * m_hat / (np.sqrt(s["v"] / (1 - 0.99**t)) + 1e-7)


def lamb(w, g, s, t, kind):
    _moments(g, s)
    r = s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.99**t)) + 1e-7)
    return w - RATE * np.linalg.norm(w) / np.linalg.norm(r) * r


def rmsprop(w, g, s, t, kind):
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g**2
    return w - RATE * g / np.sqrt(s["v"] + 1e-7)


def adagrad(w, g, s, t, kind):
    s["v"] = s.get("v", 0.1) + g**2
    return w - RATE * g / np.sqrt(s["v"] + 1e-7)


def adadelta(w, g, s, t, kind):
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g**2
    move = np.sqrt(s.get("d", 0) + 1e-7) / np.sqrt(s["v"] + 1e-7) * g
    s["d"] = 0.9 * s.get("d", 0) + 0.1 * move**2
    return w - RATE * move


def adafactor(w, g, s, t, kind):
    keep = 1 - t**-0.8
    rms = lambda a: np.sqrt(np.mean(a**2))  # noqa: E731
    if w.ndim > 1:
        s["r"] = keep * s.get("r", 0) + (1 - keep) * (g**2 + 1e-30).mean(-1, keepdims=True)
        s["c"] = keep * s.get("c", 0) + (1 - keep) * (g**2 + 1e-30).mean(-2, keepdims=True)
        v = s["r"] * s["c"] / s["r"].mean(-2, keepdims=True)
    else:
        v = s["v"] = keep * s.get("v", 0) + (1 - keep) * (g**2 + 1e-30)
    u = g / np.sqrt(v)
    return w - max(1e-3, rms(w)) * RATE * u / max(1.0, rms(u))


def lion(w, g, s, t, kind):
    m = s.get("m", 0)
    s["m"] = 0.99 * m + 0.01 * g
    return w - RATE * np.sign(0.9 * m + 0.1 * g)


def muon(w, g, s, t, kind):
    if kind != "hidden":
        return adam(w, g, s, t, kind)
    s["m"] = 0.95 * s.get("m", 0) + g
    x = g + 0.95 * s["m"]
    x = x / np.linalg.norm(x)
    for _ in range(5):
        a = x.T @ x
        x = 3.4445 * x + x @ (-4.775 * a + 2.0315 * a @ a)
    return w - RATE * 0.2 * np.sqrt(max(w.shape)) * x


def lars(w, g, s, t, kind):
    local, decay = 1.0, 0.0
    if w.ndim > 1:
        decay = DECAY
        local = 0.02 * np.linalg.norm(w) / (np.linalg.norm(g) + decay * np.linalg.norm(w))
    s["m"] = 0.9 * s.get("m", 0) + RATE * local * (g + decay * w)
    return w - s["m"]


def schedule_free(w, g, s, t, kind):
    decay = DECAY if w.ndim > 1 else 0.0
    x, z = s.get("x", w), s.get("z", w)
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * g**2
    s["z"] = z - RATE * (g / (np.sqrt(s["v"] / (1 - 0.99**t)) + 1e-7) + decay * w)
    s["x"] = (1 - 1 / t) * x + s["z"] / t
    return 0.1 * s["z"] + 0.9 * s["x"]


FORMULAS = {
    **{"sgd": sgd, "adam": adam, "adamw": adam, "nadam": nadam, "rmsprop": rmsprop},
    **{"adagrad": adagrad, "adadelta": adadelta, "adafactor": adafactor, "lion": lion},
    **{"lamb": lamb, "lars": lars, "muon": muon, "schedule_free_adamw": schedule_free},
}
NAMES = list(FORMULAS)
DECAYS_INSIDE = ("lars", "schedule_free_adamw")


def test_every_name_of_a_plan_has_its_formula():
    assert set(NAMES) == set(
        Plan.model_fields["optimizer"].annotation.model_fields["name"].annotation.__args__
    )


@pytest.mark.parametrize("name", NAMES)
def test_twenty_updates_follow_the_formula(name):
    model = net()
    optimizer = build_optimizer(plan_of(name), model, RATE)
    weights = [w.astype("float64") for w in model.get_weights()]
    states = [{} for _ in weights]
    for t in range(1, UPDATES + 1):
        apply(optimizer, model, gradients(weights))
        for i, g in enumerate(gradients(weights)):
            w = weights[i]
            if w.ndim > 1 and name not in DECAYS_INSIDE:
                w = w * (1 - RATE * DECAY)
            kind = "hidden" if i == 0 else "other"
            weights[i] = FORMULAS[name](w, g, states[i], t, kind)
    for mine, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=2e-4, atol=2e-5)


def test_schedule_free_weighs_the_steps_of_a_warmup_by_their_rates_squared():
    model = net()
    optimizer = ScheduleFreeAdamW(RATE, beta_2=0.99)
    w = model.get_weights()[1].astype("float64")
    x = z = y = w
    v = total = 0.0
    for t in range(1, 9):
        rate = RATE * min(1.0, t / 4)
        optimizer.learning_rate = rate
        g = gradients([w.astype("float64") for w in model.get_weights()])
        apply(optimizer, model, g)
        v = 0.99 * v + 0.01 * g[1] ** 2
        z = z - rate * g[1] / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        total += rate**2
        x = x + rate**2 / total * (z - x)
        y = 0.1 * z + 0.9 * x
    np.testing.assert_allclose(model.get_weights()[1], y, rtol=1e-4, atol=1e-5)


def test_adafactor_leaves_what_never_has_a_gradient_where_it_is():
    random = np.random.default_rng(5)
    weights = [random.normal(size=shape) for shape in [(3, 4), (4,)]]
    grads = [1e-2 * random.normal(size=w.shape) for w in weights]
    # A row and a column whose means are 1e-30 each: their product is no float32.
    grads[0][0] = 0.0
    grads[0][:, 1] = 0.0
    grads[1][2] = 0.0
    variables = [keras.Variable(w.astype("float32")) for w in weights]
    holder = SimpleNamespace(trainable_variables=variables)
    optimizer, states = Adafactor(RATE), [{} for _ in weights]
    for t in range(1, 4):
        apply(optimizer, holder, grads)
        weights = [
            adafactor(w, g, s, t, "") for w, g, s in zip(weights, grads, states, strict=True)
        ]
    for mine, expected in zip(variables, weights, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(mine), expected, rtol=1e-5, atol=1e-6)


def test_adafactor_keeps_rows_and_columns_and_no_matrix():
    optimizer = Adafactor()
    optimizer.build([keras.Variable(np.ones(shape, "float32")) for shape in [(30, 50), (7,)]])
    # The count of updates and the rate are the other two.
    assert sum(int(np.prod(v.shape)) for v in optimizer.variables) == 30 + 50 + 7 + 2


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch has one to compare with")
def test_adafactor_is_that_of_pytorch():
    import torch

    random = np.random.default_rng(6)
    starts = [random.normal(size=s).astype("float32") for s in [(5, 4), (6,), (3, 3, 2, 4)]]
    variables = [keras.Variable(w) for w in starts]
    theirs = [torch.nn.Parameter(torch.tensor(w)) for w in starts]
    mine, other = Adafactor(0.3), torch.optim.Adafactor(theirs, lr=0.3)
    for _ in range(UPDATES):
        grads = [random.normal(size=w.shape).astype("float32") for w in starts]
        apply(mine, SimpleNamespace(trainable_variables=variables), grads)
        for parameter, g in zip(theirs, grads, strict=True):
            parameter.grad = torch.tensor(g)
        other.step()
    for variable, parameter in zip(variables, theirs, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(variable), parameter.detach().numpy(), rtol=2e-4, atol=2e-5
        )


def extended_pair(name, extras, changes=None):
    model = net()
    return build_optimizer(plan_of(name, changes), model, RATE, extras), model


@pytest.mark.parametrize("name", NAMES)
def test_a_factor_scales_what_an_update_does_decay_included(name):
    whole, plain = extended_pair(name, None)
    half, slow = extended_pair(name, Extras(factors=(0.5, 0.0, 1.0, 0.5)))
    before = plain.get_weights()
    step(whole, plain)
    step(half, slow)
    for start, all_of_it, part, factor in zip(
        before, plain.get_weights(), slow.get_weights(), (0.5, 0.0, 1.0, 0.5), strict=True
    ):
        assert np.abs(all_of_it - start).max() > 1e-6
        # Decay comes first, so that Lamb's and Adafactor's norms are of slightly other weights.
        np.testing.assert_allclose(part - start, factor * (all_of_it - start), rtol=6e-3, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_state_loads_into_a_twin_with_clipping_an_average_groups_and_slow_weights(name):
    free = name == "schedule_free_adamw"
    average = {} if free else {"optimizer.swa": 0.5}
    extras = Extras((0.5, 1.0, 0.5, 1.0), lookahead=2, first_snapshot=0 if free else 2)
    changes = {"clipping.global_norm": 0.5, **average}
    one, model = extended_pair(name, extras, changes)
    step(one, model, 3)
    other, twin = extended_pair(name, extras, changes)
    other.build(twin.trainable_variables)
    twin.set_weights(model.get_weights())
    for mine, theirs in zip(other.variables, one.variables, strict=True):
        mine.assign(ops.convert_to_numpy(theirs))
    step(one, model, 2)
    step(other, twin, 2)
    for mine, theirs in zip(twin.variables, model.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(other.variables, one.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(mine), ops.convert_to_numpy(theirs))


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_scale_changes_nothing_and_clipping_bounds_the_gradient(name):
    bound = {"clipping.global_norm": 0.5}
    plain, model = extended_pair(name, None)
    clipped, scaled_model = extended_pair(name, None, bound)
    if is_built_early(clipped):
        clipped.build(scaled_model.trainable_variables)
    scaled = keras.optimizers.LossScaleOptimizer(clipped, initial_scale=8.0)
    for _ in range(2):
        g = gradients(scaled_model.get_weights())
        norm = np.sqrt(sum(np.sum(part**2) for part in g))
        assert norm > 0.5
        apply(plain, model, [part * 0.5 / norm for part in g])
        apply(scaled, scaled_model, [8.0 * part for part in g])
    for mine, theirs in zip(scaled_model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_slow_weights_go_half_the_way_every_third_update():
    optimizer, model = extended_pair("sgd", Extras(lookahead=3), {"optimizer.weight_decay": 0.0})
    weights = [w.astype("float64") for w in model.get_weights()]
    slow, states = list(weights), [{} for _ in weights]
    for t in range(1, 8):
        step(optimizer, model)
        weights = [
            sgd(w, g, s, t, "") for w, g, s in zip(weights, gradients(weights), states, strict=True)
        ]
        if t % 3 == 0:
            slow = weights = [s + 0.5 * (w - s) for s, w in zip(slow, weights, strict=True)]
    for mine, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


def test_snapshots_are_averaged_and_until_then_the_average_is_the_weights():
    extras = Extras(first_snapshot=4, snapshot_every=2)
    optimizer, model = extended_pair("adam", extras, {"optimizer.swa": 0.5})
    seen = []
    for t in range(1, 9):
        step(optimizer, model)
        seen.append(model.get_weights())
        average = [ops.convert_to_numpy(v) for v in optimizer._model_variables_moving_average]
        snapshots = seen[3:t:2] if t >= 4 else seen[-1:]
        for mine, parts in zip(average, zip(*snapshots, strict=True), strict=True):
            np.testing.assert_allclose(mine, np.mean(parts, 0), rtol=1e-5, atol=1e-6)


def test_norms_share_the_rate_of_the_matrices_before_them_and_paths_are_searched():
    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((3,)), layers.Dense(3, name="first"), layers.LayerNormalization()]
    )
    model = keras.Sequential([keras.Input((3,)), inner, layers.Dense(1, name="last")])
    assert rate_factors(model, 0.5, "", 1.0) == (0.5, 0.5, 0.5, 0.5, 1.0, 1.0)
    assert rate_factors(model, 1.0, "last/k", 0.1) == (1.0, 1.0, 1.0, 1.0, 0.1, 1.0)


@pytest.mark.parametrize(
    "optimizer", [Adafactor(0.1), Lars(0.1, trust=0.5), ScheduleFreeAdamW(0.1, beta_2=0.9)]
)
def test_ours_are_rebuilt_from_their_configuration(optimizer):
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


def test_one_class_is_made_of_each_rule():
    assert extended(keras.optimizers.SGD) is extended(keras.optimizers.SGD)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others' are always dense")
@pytest.mark.parametrize("rule", [Adafactor, Lars, ScheduleFreeAdamW])
def test_a_gradient_of_some_rows_moves_what_the_whole_one_moves(rule):
    import tensorflow as tf

    rows, values = [3, 1, 3], np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 2.0]], "float32")
    whole = np.zeros((5, 2), "float32")
    np.add.at(whole, rows, values)
    sparse = tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([5, 2]))
    moved = []
    for gradient in (sparse, tf.constant(whole)):
        table = keras.Variable(np.ones((5, 2), "float32"))
        optimizer = rule(0.1)
        for _ in range(2):
            optimizer.apply([gradient], [table])
        moved.append(table.numpy())
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-6)
    assert np.abs(moved[0] - 1).max() > 1e-4

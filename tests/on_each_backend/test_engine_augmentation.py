"""Examples that are changed on the host and in the step: alike, told, and never in evaluation."""

import keras
import numpy as np
import pytest
from engine_help import Run, in_order, numbers, plan, run, sparse_loss, task
from keras import ops

from slipstream.data.augmentation import KINDS, Erase, Mix, Moves, ResizedCrop, draw_all
from slipstream.data.splits import Data, Split
from slipstream.engine import train
from slipstream.engine.augmentation import Augmenter
from slipstream.engine.build import build
from slipstream.engine.feed import Feed
from slipstream.engine.limits import Limits
from slipstream.engine.look import look
from slipstream.errors import PlanError
from slipstream.plan import Plan
from slipstream.techniques import apply_all, get

CLASSES, SIDE, RATE = 3, 6, 0.2
A = "augmentation."
EVERYTHING = {
    A + "shift": 1,
    A + "flip": True,
    A + "flip_vertical": True,
    A + "resized_crop": 0.4,
    A + "erase": 0.5,
    A + "mixup": 0.4,
    A + "cutmix": 1.0,
}


def images(num, seed=0, weights=False):
    source = np.random.default_rng(seed)
    y = np.arange(num) % CLASSES
    x = source.random((num, SIDE, SIDE, 1), "float32") / 2
    for row, label in zip(x, y, strict=True):
        row[:, 2 * label : 2 * label + 2] += 0.5
    w = source.uniform(0.2, 3, num).astype("float32") if weights else None
    return Split(x, y.astype("int64"), w)


def picture_data(num=22, weights=False):
    return Data(images(num, 1, weights), images(9, 2, weights))


def linear_net():
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((SIDE, SIDE, 1)), layers.Flatten(), layers.Dense(CLASSES, use_bias=False)]
    )


def picture_run(changes, data=None):
    short = {"duration.epochs": 1, "schedule.peak": RATE, **changes}
    return run(task(linear_net), plan(short), data or picture_data())


def test_the_step_changes_whole_numbers_as_the_host_does():
    x = (images(12, 3).x * 255).astype("uint8")
    kinds = {
        "moves": Moves(2, True, True),
        "resized_crop": ResizedCrop(0.3, SIDE, SIDE),
        "erase": Erase(0.5, 0.4, (SIDE, SIDE, 1), 0.0, 255.0),
        "mix": Mix(0.4, 1.0, SIDE, SIDE),
    }
    draws = draw_all(kinds, 12, seed=0, epoch=0)
    for name, kind in kinds.items():
        others = (x[::-1].copy(),) if name == "mix" else ()
        host = kind.apply(x, *others, draws[name]).astype(int)
        tensors = [ops.convert_to_tensor(a) for a in (x, *others, draws[name])]
        step = ops.convert_to_numpy(kind.apply(*tensors, ops))
        assert step.dtype == np.uint8
        # A value halfway between two whole numbers may be rounded either way.
        assert np.abs(step.astype(int) - host).max() <= 1
        assert (step != host).mean() < 0.01


def test_the_formulas_are_those_of_keras_own_layers():
    x = images(8, 4).x
    mirrored = np.array([1, 0, 1, 1, 0, 0, 1, 0], "float32")
    draws = np.stack([0 * mirrored, 0 * mirrored, mirrored, 0 * mirrored], axis=1)
    ours = Moves(0, True, False).apply(x, draws)
    flips = ops.convert_to_tensor(mirrored.reshape(-1, 1, 1, 1) > 0)
    layer = keras.layers.RandomFlip("horizontal")
    theirs = layer.transform_images(ops.convert_to_tensor(x), {"flips": flips})
    np.testing.assert_array_equal(ours, ops.convert_to_numpy(theirs))
    mix = Mix(0.3, 0.0, SIDE, SIDE)
    draws = mix.draw(np.random.default_rng(0), 8)
    chosen = {
        "mix_weight": ops.convert_to_tensor(draws[:, 0]),
        "permutation_order": ops.convert_to_tensor(np.roll(np.arange(8), -1)),
    }
    theirs = keras.layers.MixUp().transform_images(ops.convert_to_tensor(x), chosen)
    ours = mix.apply(x, np.roll(x, -1, axis=0), draws)
    np.testing.assert_allclose(ours, ops.convert_to_numpy(theirs), atol=1e-6)
    crop = ResizedCrop(0.3, SIDE, SIDE)
    ours = crop.apply(x[:1], np.array([[1, 2, 3, 4]], "float32"))
    theirs = ops.image.resize(ops.convert_to_tensor(x[:1, 1:4, 2:6]), (SIDE, SIDE))
    np.testing.assert_allclose(ours, ops.convert_to_numpy(theirs), atol=1e-5)


def test_host_step_and_device_make_the_same_training():
    parts = {"batch.accumulation": 2, "batch.size": 4}
    host = picture_run({**EVERYTHING, A + "place": "host", **parts})
    step = picture_run({**EVERYTHING, A + "place": "device"})
    cached = picture_run(
        {
            **EVERYTHING,
            "data.cache": "device",
            **parts,
            "runtime.steps_per_execution": 2,
        }
    )
    for other in (step, cached):
        for mine, theirs in zip(host.model.get_weights(), other.model.get_weights(), strict=True):
            np.testing.assert_allclose(theirs, mine, atol=1e-6)
        assert other.values[0] == pytest.approx(host.values[0], rel=1e-5)
    assert host.built.applied[A + "flip"] == "True, on the host"
    assert host.built.applied[A + "cutmix"] == "1.0, on the host, labels in the step"
    assert step.built.applied[A + "cutmix"] == "1.0, in the step"
    assert step.built.applied[A + "place"] == "device: 0 on the host, 4 in the step"
    assert set(EVERYTHING) <= set(cached.built.applied)
    plain = picture_run({})
    assert np.abs(plain.model.get_weights()[0] - host.model.get_weights()[0]).max() > 1e-3


def softmax(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def test_mixed_labels_weights_and_smoothing_are_the_mixture_of_losses():
    smoothing, alpha = 0.1, 0.4
    data = picture_data(weights=True)
    changes = {A + "mixup": alpha, "regularization.label_smoothing": smoothing}
    ran = picture_run({**changes, "seeds.seed": 5}, data)
    w = ran.initial[0].astype("float64")
    part = in_order(data.train, 5, 0)
    share = draw_all({"mix": Mix(alpha, 0.0, 1, 1)}, 22, 5, 0)["mix"][:, 0].astype("float64")
    eye = np.eye(CLASSES) * (1 - smoothing) + smoothing / CLASSES
    losses, right, counted = [], 0, 0
    for start, end in ((0, 8), (8, 16), (16, 22)):
        x, y = part.x.reshape(22, -1)[start:end], part.y[start:end]
        v, s = part.sample_weight[start:end], share[start:end]
        x = s[:, None] * x + (1 - s[:, None]) * np.roll(x, -1, axis=0)
        p = softmax(x @ w)
        own, other = s * v, (1 - s) * np.roll(v, -1)
        terms = [(own, eye[y]), (other, eye[np.roll(y, -1)])]
        losses.append(sum(-(a * (t * np.log(p)).sum(1)).sum() for a, t in terms))
        slope = sum(a[:, None] * (p - t) for a, t in terms) / (end - start)
        w = w - RATE * x.T @ slope
        right += (p.argmax(1) == np.where(own >= other, y, np.roll(y, -1))).sum()
        counted += end - start
    np.testing.assert_allclose(ran.model.get_weights()[0], w, atol=1e-5)
    values = ran.values[0]
    assert values["loss"] == pytest.approx(sum(losses) / counted, rel=1e-5)
    # Training metrics go by the label with the larger share.
    assert values["accuracy"] == pytest.approx(right / counted, rel=1e-5)
    # Validation is the task's own affair: nothing mixed, nothing smoothed.
    rest = data.validation
    p = softmax(rest.x.reshape(9, -1) @ w)
    own_loss = -(rest.sample_weight * np.log(p[np.arange(9), rest.y])).mean()
    assert values["val_loss"] == pytest.approx(own_loss, rel=1e-4)
    assert values["val_accuracy"] == pytest.approx((p.argmax(1) == rest.y).mean(), rel=1e-5)


FORMS = {
    "column": (lambda y: y[:, None], sparse_loss(), CLASSES),
    "one_hot": (
        lambda y: np.eye(CLASSES, dtype="float32")[y],
        keras.losses.serialize(keras.losses.CategoricalCrossentropy(from_logits=True)),
        CLASSES,
    ),
    "yes_no": (
        lambda y: (y > 0)[:, None].astype("float32"),
        keras.losses.serialize(keras.losses.BinaryCrossentropy(from_logits=True)),
        1,
    ),
    "numbers": (lambda y: y[:, None].astype("float32"), "mse", 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_every_form_are_mixed(form):
    change, loss, units = FORMS[form]
    data = picture_data(8)
    data = Data(*(Split(part.x, change(part.y)) for part in (data.train, data.validation)))

    def net():
        layers = keras.layers
        return keras.Sequential(
            [keras.Input((SIDE, SIDE, 1)), layers.Flatten(), layers.Dense(units)]
        )

    metrics = ["mae"] if form == "numbers" else ["accuracy"]
    both = {A + "mixup": 0.4} if form == "numbers" else {A + "mixup": 0.4, A + "cutmix": 1.0}
    small = plan({**both, "duration.epochs": 1, "schedule.peak": 1e-30})
    ran = run(task(net, loss=loss, metrics=metrics), small, data)
    w, bias = ran.initial
    augmenter = Augmenter(small, data.train)
    order, draws = Feed(data.train, small)._draw(0)
    x, y = data.train.x[order], data.train.y[order]
    x = augmenter.mix.apply(x, np.roll(x, -1, axis=0), draws["mix"])
    share = draws["mix"][:, -1:]
    if form == "column":
        y = np.eye(CLASSES)[y[:, 0]]
    mixed = share * y + (1 - share) * np.roll(y, -1, axis=0)
    logits = x.reshape(8, -1) @ w + bias
    values = ran.values[0]
    if form == "numbers":
        assert values["loss"] == pytest.approx(np.square(logits - mixed).mean(), rel=1e-4)
        assert values["mae"] == pytest.approx(np.abs(logits - mixed).mean(), rel=1e-4)
        return
    if form == "yes_no":
        p = 1 / (1 + np.exp(-logits))
        loss_ = -(mixed * np.log(p) + (1 - mixed) * np.log(1 - p)).mean()
        hits = (logits > 0.5) == (mixed >= 0.5)
    else:
        loss_ = -(mixed * np.log(softmax(logits))).sum(1).mean()
        hits = logits.argmax(1) == mixed.argmax(1)
    assert values["loss"] == pytest.approx(loss_, rel=1e-4)
    assert values["accuracy"] == pytest.approx(hits.mean(), rel=1e-5)


TRAINED = {
    "in the step": {
        "shift": "2, in the step",
        "flip": "True, in the step",
        "flip_vertical": "True, in the step",
        "resized_crop": "0.35, in the step",
        "random_erasing": "0.25, in the step",
        "mixup": "0.2, in the step",
        "augmentation_in_step": "device: 0 on the host, 4 in the step",
    },
    "on the host": {
        "rand_augment": "2, on the host",
        "augmix": "3, on the host",
        "cutmix": "1.0, on the host, labels in the step",
    },
}


@pytest.mark.parametrize("place", TRAINED)
def test_techniques_train_two_steps_and_the_record_says_so(place):
    data = picture_data(16)
    task_ = task(linear_net)
    facts, _ = look(task_, "", data)
    made = apply_all(TRAINED[place], plan({"duration.epochs": 1}), facts)
    record = train(task_, made, data=data, limits=Limits(updates=2))
    assert record.failure is None
    assert record.updates == 2
    for name, applied in TRAINED[place].items():
        assert record.applied[get(name).keys[0]] == applied


def test_everything_at_once_goes_on_where_it_stopped():
    changes = {
        **EVERYTHING,
        A + "rand_ops": 1,
        A + "augmix": 1,
        A + "augmix_strength": 0.2,
        "duration.epochs": 2,
        "optimizer.sam": 0.05,
        "loss.name": "focal",
        "batch.size": 4,
        "batch.accumulation": 2,
        "monitoring.layers_every": 1,
    }
    make = lambda: Run(task(linear_net), plan(changes), picture_data())  # noqa: E731
    whole = make().go()
    first = make().go(Limits(updates=2))
    second = make()
    second.loop.take_back(first.loop.hand_out())
    second.go()
    for mine, theirs in zip(second.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert np.isfinite(whole.values[-1]["loss"])
    # Looks into layers take the loss of mixed labels, too.
    assert not [note for note in whole.built.notes if "monitoring" in note]


def refused(match, changes, model=linear_net, data=None, **settings):
    made = plan(changes)
    data = data or picture_data(6)
    with pytest.raises(PlanError, match=match):
        Feed(data.train, made)
        build(task(model, **settings), made, data, 0.1)


def test_inputs_that_cannot_be_changed_are_refused_by_the_names_of_keys():
    def split(x):
        return Data(Split(x, np.arange(6) % 3), Split(x, np.arange(6) % 3))

    moves = {A + "flip": True, A + "shift": 1}
    table = split(numbers(6, 5))
    refused(r"augmentation\.shift = 1 and augmentation\.flip = true", moves, data=table)
    words = split(np.arange(30).reshape(6, 5))
    refused(r"augmentation\.mixup.*of words", {A + "mixup": 0.2}, data=words)
    two = split({"a": images(6).x, "b": numbers(6, 4)})
    refused(r"augmentation\.mixup mixes inputs of any", {A + "cutmix": 1.0}, data=two)
    sizes = split({"a": images(6).x, "b": numbers(6, 4, 4, 1)})
    refused(r"one height and width.*augmentation\.erase", {A + "erase": 0.5}, data=sizes)


def test_what_cannot_be_mixed_is_refused_by_the_names_of_keys():
    class OwnStep(keras.Model):
        def train_step(self, *args):
            return super().train_step(*args)

    def own_step():
        x = keras.Input((SIDE, SIDE, 1))
        return OwnStep(x, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(x)))

    def two_outputs():
        x = keras.Input((SIDE, SIDE, 1))
        flat = keras.layers.Flatten()(x)
        one, two = (keras.layers.Dense(CLASSES, name=name)(flat) for name in "ab")
        return keras.Model(x, {"a": one, "b": two})

    part = images(6)
    rows = Split(part.x, np.eye(CLASSES, dtype="float32")[part.y])
    numbers_, hinge = ({"loss": loss, "metrics": ()} for loss in ("mse", "categorical_hinge"))
    ignoring = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2)
    refused(r"augmentation\.mixup = 0\.2.*train_step of its own", {A + "mixup": 0.2}, own_step)
    cut, mix = {A + "cutmix": 1.0}, {A + "mixup": 1.0}
    refused(r"augmentation\.cutmix = 1\.0.*squared", cut, data=Data(rows, rows), **numbers_)
    refused(r"augmentation\.mixup.*hinge", mix, data=Data(rows, rows), **hinge)
    loss = keras.losses.serialize(ignoring)
    refused(r"Set augmentation\.mixup = 0\.0", mix, loss=loss)
    both = Split(part.x, {"a": part.y, "b": part.y})
    several = {"loss": {"a": sparse_loss(), "b": sparse_loss()}, "metrics": ()}
    refused(r"outputs a, b", cut, two_outputs, Data(both, both), **several)


def test_kinds_are_streams_that_records_depend_on():
    assert KINDS == ("moves", "resized_crop", "rand_augment", "augmix", "erase", "mix")
    assert not Augmenter(Plan(), images(3)).is_on

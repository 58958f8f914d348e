"""Losses and metrics that a plan or a task names: trained on and judged by formulas in NumPy."""

import keras
import numpy as np
import pytest
from engine_help import NUM_FEATURES, Run, data, numbers, plan, run, sparse_loss, task
from sklearn.metrics import confusion_matrix, f1_score, log_loss

from slipstream import doctor
from slipstream.data.splits import Data, Split
from slipstream.engine import look
from slipstream.engine.build import build
from slipstream.errors import PlanError
from slipstream.task import Task

LOGITS = numbers(8, 3, seed=5)
LABELS = np.arange(8) % 3
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
BITS = (np.arange(8) % 2).astype("float32")[:, None]
NUMBERS = numbers(8, 1, seed=6)


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def focal(labels, logits, gamma=2.0):
    p = softmax(logits.astype("float64"))[np.arange(len(labels)), labels]
    return np.mean(-((1 - p) ** gamma) * np.log(p))


def binary(logits, gamma=0.0, balance=0.0):
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    right = np.where(BITS == 1, p, 1 - p)
    weight = np.where(BITS == 1, balance, 1 - balance) if balance else 1.0
    return np.mean(-weight * (1 - right) ** gamma * np.log(right))


def asymmetric(targets, guesses, asymmetry):
    error = targets.astype("float64") - guesses
    return np.mean(error**2 * np.where(error > 0, asymmetry, 1))


def huber(targets, guesses, delta):
    error = np.abs(targets.astype("float64") - guesses)
    return np.mean(np.where(error <= delta, error**2 / 2, delta * error - delta**2 / 2))


def logits_of(kind):
    return keras.losses.serialize(getattr(keras.losses, kind)(from_logits=True))


GUESSES = LOGITS[:, :1]
SPARSE = "SparseCategoricalCrossentropy"
# What the plan says, the task's loss, targets, predictions, and the loss by hand.
CASES = {
    "mse": ({}, "mae", NUMBERS, GUESSES, np.mean((NUMBERS - GUESSES) ** 2)),
    "mae": ({}, "mse", NUMBERS, GUESSES, np.mean(np.abs(NUMBERS - GUESSES))),
    "huber": ({"loss.delta": 0.5}, "mse", NUMBERS, GUESSES, huber(NUMBERS, GUESSES, 0.5)),
    "asymmetric_mse": (
        {"loss.asymmetry": 3.0},
        *("mse", NUMBERS, GUESSES, asymmetric(NUMBERS, GUESSES, 3.0)),
    ),
    "binary_crossentropy": (
        {"loss.from_logits": "on"},
        *("mse", BITS, GUESSES, binary(GUESSES)),
    ),
    "focal, binary": (
        {"loss.balance": 0.3, "loss.focus": 1.5},
        *("BinaryCrossentropy", BITS, GUESSES, binary(GUESSES, 1.5, 0.3)),
    ),
    "focal, one-hot": (
        {"loss.focus": 1.5},
        *("CategoricalCrossentropy", ONE_HOT, LOGITS, focal(LABELS, LOGITS, 1.5)),
    ),
    "focal, labels": ({"loss.focus": 3.0}, SPARSE, LABELS, LOGITS, focal(LABELS, LOGITS, 3.0)),
    "categorical_crossentropy": (
        {"regularization.label_smoothing": 0.1},
        *("CategoricalFocalCrossentropy", ONE_HOT, LOGITS),
        -np.mean(np.sum((0.9 * ONE_HOT + 0.1 / 3) * np.log(softmax(LOGITS)), axis=1)),
    ),
    "sparse_categorical_crossentropy": (
        {},
        *(SPARSE, LABELS, LOGITS, log_loss(LABELS, softmax(LOGITS.astype("float64")))),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_name_is_its_formula(case):
    changes, of_task, y, guesses, expected = CASES[case]
    rows = Split(numbers(8, NUM_FEATURES), y)

    def net():
        return keras.Sequential(
            [keras.Input((NUM_FEATURES,)), keras.layers.Dense(guesses.shape[1])]
        )

    loss = logits_of(of_task) if of_task[0].isupper() else of_task
    plan_ = plan({"loss.name": case.partition(",")[0], **changes})
    built = build(task(net, loss=loss, metrics=()), plan_, Data(rows, rows), 0.1)
    assert float(built.model._compile_loss(y, guesses)) == pytest.approx(expected, rel=1e-4)
    assert "loss.name" in built.applied


def test_the_plans_loss_is_trained_on_and_the_tasks_own_judges():
    data_ = data(8)
    ran = Run(task(), plan({"loss.name": "focal", "duration.epochs": 1}), data_)
    before = ran.model.predict(data_.train.x, verbose=0)
    ran.go()
    assert ran.values[0]["loss"] == pytest.approx(focal(data_.train.y, before), rel=1e-4)
    after = ran.model.predict(data_.validation.x, verbose=0)
    judged = log_loss(data_.validation.y, softmax(after.astype("float64")))
    assert ran.values[0]["val_loss"] == pytest.approx(judged, rel=1e-5)


def two_outputs():
    x = keras.Input((NUM_FEATURES,))
    kind, size = keras.layers.Dense(3, name="kind"), keras.layers.Dense(1, name="size")
    return keras.Model(x, [kind(x), size(x)])


def both(part):
    return Split(part.x, {"kind": part.y, "size": part.x[:, :1] * 3})


def of_two(**settings):
    plain = data(8)
    loss = {"kind": sparse_loss(), "size": "mse"}
    task_ = task(two_outputs, loss=loss, metrics=(), **settings)
    return task_, Data(both(plain.train), both(plain.validation))


def test_losses_and_weights_by_output():
    task_, data_ = of_two()
    changes = {
        "loss.name": "kind=focal, size=asymmetric_mse",
        "loss.weights": "kind=2, size=0.5",
        "duration.epochs": 1,
    }
    ran = Run(task_, plan(changes), data_)
    kind, size = ran.model.predict(data_.train.x, verbose=0)
    ran.go()
    first = focal(data_.train.y["kind"], kind)
    second = asymmetric(data_.train.y["size"], size, 2.0)
    values = ran.values[0]
    assert values["kind_loss"] == pytest.approx(first, rel=1e-4)
    assert values["size_loss"] == pytest.approx(second, rel=1e-4)
    assert values["loss"] == pytest.approx(2 * first + 0.5 * second, rel=1e-4)
    _, size = ran.model.predict(data_.validation.x, verbose=0)
    squares = np.mean((data_.validation.y["size"] - size) ** 2)
    assert values["val_size_loss"] == pytest.approx(squares, rel=1e-4)
    total = values["val_kind_loss"] + values["val_size_loss"]
    assert values["val_loss"] == pytest.approx(total, rel=1e-4)


def test_learned_weights_move_by_their_gradient_and_stay_out_of_the_judgement(tmp_path):
    task_, data_ = of_two(loss_weights={"kind": 1.0, "size": 0.25})
    changes = {"loss.weights": "learned", "duration.epochs": 1, "schedule.peak": 0.01}
    ran = Run(task_, plan(changes), data_)
    kind, size = ran.model.predict(data_.train.x, verbose=0)
    losses = np.array(
        [
            log_loss(data_.train.y["kind"], softmax(kind.astype("float64"))),
            np.mean((data_.train.y["size"] - size) ** 2),
        ]
    )
    start = -np.log([1.0, 0.25])
    ran.go()
    values = ran.values[0]
    expected = np.sum(np.exp(-start) * losses + start / 2)
    assert values["loss"] == pytest.approx(expected, rel=1e-4)
    assert values["size_loss"] == pytest.approx(losses[1], rel=1e-4)
    gradient = -np.exp(-start) * losses + 0.5
    learned = np.array(ran.model.slipstream_log_variances.values)
    np.testing.assert_allclose(learned, start - 0.01 * gradient, rtol=1e-4)
    judged = values["val_kind_loss"] + 0.25 * values["val_size_loss"]
    assert values["val_loss"] == pytest.approx(judged, rel=1e-4)
    ran.model.save_weights(tmp_path / "kept.weights.h5")
    plain = two_outputs()
    plain.load_weights(tmp_path / "kept.weights.h5")
    np.testing.assert_allclose(
        plain.predict(data_.train.x, verbose=0)[0],
        ran.model.predict(data_.train.x, verbose=0)[0],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loss.name": "knd=focal"}, "Did you mean 'kind'"),
        ({"loss.weights": "knd=2"}, "Did you mean 'kind'"),
    ],
)
def test_outputs_that_the_model_lacks_are_refused(changes, says):
    task_, data_ = of_two()
    with pytest.raises(PlanError, match=says):
        build(task_, plan(changes), data_, 0.1)


def test_own_metrics_by_name_are_exact_over_the_whole_split():
    data_ = data(8, 101)
    names = ["f1_macro", "confusion_matrix"]
    _, facts = look(task(metrics=names), "", data_)
    assert facts.outputs[0].metrics == ("F1", "ConfusionMatrix")
    assert facts.logged == ("loss", *names)
    ran = run(task(metrics=names), plan({"duration.epochs": 1, "batch.size": 8}), data_)
    said = ran.model.predict(data_.validation.x, verbose=0).argmax(1)
    values, true = ran.values[0], data_.validation.y
    assert values["val_f1_macro"] == pytest.approx(f1_score(true, said, average="macro"), rel=1e-5)
    table = confusion_matrix(true, said)
    for row, column in np.ndindex(3, 3):
        assert values[f"val_confusion_matrix_{row}_{column}"] == table[row, column]


def findings(model, loss, y, changes=None):
    rows = Split(numbers(8, NUM_FEATURES), y)
    data_ = Data(rows, rows)
    task_ = Task(model=model, data=lambda: data_, loss=loss)
    _, facts = look(task_, "", data_)
    plan_ = plan(changes or {})
    return doctor.examine(doctor.Case(data_, facts, plan_, "val_loss", "task"))


class Subclass(keras.Model):
    def __init__(self, activation):
        super().__init__()
        self.layer = keras.layers.Dense(3, activation=activation)

    def call(self, x):
        return self.layer(x)


def ends_in_reshape(activation):
    layers = [keras.layers.Dense(3, activation=activation), keras.layers.Reshape((3,))]
    return keras.Sequential([keras.Input((NUM_FEATURES,)), *layers])


@pytest.mark.parametrize("make", [Subclass, ends_in_reshape])
@pytest.mark.parametrize("activation", [None, "softmax"])
def test_logits_are_told_where_no_last_activation_tells_them(make, activation):
    for from_logits in (True, False):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        found = findings(lambda: make(activation), loss, LABELS)
        is_wrong = from_logits == (activation == "softmax")
        assert [finding.check for finding in found if finding.severity == "error"] == (
            ["probabilities"] if is_wrong else []
        )


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"loss.name": "focal", "loss.from_logits": "off"}, "probabilities"),
        ({"loss.name": "mse"}, "target_shapes"),
        ({"loss.name": "binary_crossentropy"}, "binary_labels"),
        ({"loss.name": "nothing=focal"}, "plan_loss"),
        ({"loss.name": "focal"}, None),
    ],
)
def test_what_the_plans_loss_cannot_take_is_refused_before_the_first_step(changes, check):
    found = findings(lambda: ends_in_reshape(None), sparse_loss(), LABELS, changes)
    errors = [finding for finding in found if finding.severity == "error"]
    assert (check in [finding.check for finding in errors]) == (check is not None)
    assert all(finding.about == "plan" for finding in errors)


def test_weights_do_not_reach_their_examples_in_an_output_of_bare_numbers():
    """What the check of weights says of Keras."""
    true, guess = np.array([1.0, 0.0], "float32"), np.array([0.0, 0.0], "float32")
    loss = keras.losses.MeanSquaredError()
    only_second = float(loss(true, guess, sample_weight=np.array([0.0, 1.0], "float32")))
    assert only_second != 0
    column = float(loss(true[:, None], guess[:, None], np.array([0.0, 1.0], "float32")))
    assert column == 0

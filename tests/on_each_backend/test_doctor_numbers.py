"""What the doctor refuses, Keras trains on with wrong numbers, or raises; the rest is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from slipstream.data import Data, Split
from slipstream.doctor import Case, examine
from slipstream.plan import Plan
from slipstream.task import InputFacts, ModelFacts, OutputFacts

NUM = 8
CLASSES = 4
RNG = np.random.default_rng(5)
FLAT = RNG.normal(size=(NUM, 3)).astype("float32")
STEPS = RNG.normal(size=(NUM, NUM, 3)).astype("float32")
LABELS = np.array([0, 1, 2, 3, 3, 1, 2, 0])
BITS = LABELS % 2
WEIGHTS = np.linspace(0.1, 2.0, NUM)


@dataclass(frozen=True)
class Trial:
    """A model of one dense layer and targets; `right` computes its loss from logits in NumPy."""

    units: int
    activation: str
    loss: Callable[[], Any]
    y: Any
    right: Callable[[Any], float]
    x: Any = field(default_factory=lambda: FLAT)
    weights: Any = None
    # Where Keras computes the right number although the doctor refuses, for the others' sake.
    right_on: tuple[str, ...] = ()


def sparse(logits: bool = False, **more: Any) -> Callable[[], Any]:
    return lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=logits, **more)


def one_hot(logits: bool = False) -> Callable[[], Any]:
    return lambda: keras.losses.CategoricalCrossentropy(from_logits=logits)


def binary(logits: bool = False) -> Callable[[], Any]:
    return lambda: keras.losses.BinaryCrossentropy(from_logits=logits)


def entropy(labels: Any, weights: Any = 1.0) -> Callable[[Any], float]:
    def right(z: Any) -> float:
        picked = np.take_along_axis(log_softmax(z, axis=-1), labels[..., None], axis=-1)[..., 0]
        return float(np.mean(-picked * weights))

    return right


def binary_entropy(bits: Any) -> Callable[[Any], float]:
    def right(z: Any) -> float:
        p = expit(z.reshape(bits.shape))
        return float(-np.mean(bits * np.log(p) + (1 - bits) * np.log(1 - p)))

    return right


def refused(z: Any) -> float:
    """There is no right number."""
    return float("inf")


def replaced(label: float) -> Any:
    y = LABELS.astype(type(label))
    y[3] = label
    return y


EYE = np.eye(CLASSES)[LABELS]
STEP_LABELS = RNG.integers(0, CLASSES, (NUM, NUM))
SMOOTH = EYE * 0.9 + 0.1 / CLASSES


def mean_square(y: Any) -> Callable[[Any], float]:
    return lambda z: float(np.mean((z.reshape(y.shape) - y) ** 2))


ACCEPTED = {
    "labels": Trial(CLASSES, "softmax", sparse(), LABELS, entropy(LABELS)),
    "labels (N, 1)": Trial(CLASSES, "softmax", sparse(), LABELS[:, None], entropy(LABELS)),
    "whole floats": Trial(CLASSES, "softmax", sparse(), LABELS * 1.0, entropy(LABELS)),
    "bool labels": Trial(2, "softmax", sparse(), BITS > 0, entropy(BITS)),
    "logits": Trial(CLASSES, "linear", sparse(True), LABELS, entropy(LABELS)),
    "log-softmax": Trial(CLASSES, "log_softmax", sparse(True), LABELS, entropy(LABELS)),
    "one-hot": Trial(CLASSES, "softmax", one_hot(), EYE, entropy(LABELS)),
    "one-hot logits": Trial(CLASSES, "linear", one_hot(True), EYE, entropy(LABELS)),
    "smooth one-hot": Trial(CLASSES, "softmax", one_hot(), SMOOTH,
        lambda z: float(np.mean(-np.sum(SMOOTH * log_softmax(z, axis=-1), axis=-1)))),
    "bits": Trial(1, "sigmoid", binary(), BITS, binary_entropy(BITS)),
    "bits (N, 1)": Trial(1, "sigmoid", binary(), BITS[:, None], binary_entropy(BITS)),
    "bools": Trial(1, "sigmoid", binary(), BITS > 0, binary_entropy(BITS)),
    "bit logits": Trial(1, "linear", binary(True), BITS, binary_entropy(BITS)),
    "several bits": Trial(CLASSES, "sigmoid", binary(), EYE, binary_entropy(EYE)),
    "weights": Trial(CLASSES, "softmax", sparse(), LABELS, entropy(LABELS, WEIGHTS),
        weights=WEIGHTS),
    "weights (N, 1)": Trial(CLASSES, "softmax", sparse(), LABELS, entropy(LABELS, WEIGHTS),
        weights=WEIGHTS[:, None]),
    "sequence": Trial(CLASSES, "softmax", sparse(), STEP_LABELS, entropy(STEP_LABELS), x=STEPS),
    "sequence, weights (N, 1)": Trial(CLASSES, "softmax", sparse(), STEP_LABELS,
        entropy(STEP_LABELS, WEIGHTS[:, None]), x=STEPS, weights=WEIGHTS[:, None]),
    "sequence, weights (N, T)": Trial(CLASSES, "softmax", sparse(), STEP_LABELS,
        entropy(STEP_LABELS, WEIGHTS), x=STEPS, weights=np.tile(WEIGHTS, (NUM, 1))),
    "two values": Trial(2, "linear", keras.losses.MeanSquaredError, EYE[:, :2],
        mean_square(EYE[:, :2])),
}  # fmt: skip

REFUSED = {
    "label = C": Trial(CLASSES, "softmax", sparse(), replaced(CLASSES), refused),
    "label = -1": Trial(CLASSES, "softmax", sparse(), replaced(-1), refused),
    "labels from 1": Trial(CLASSES, "softmax", sparse(), LABELS + 1, entropy(LABELS)),
    "one-hot, sparse loss": Trial(CLASSES, "softmax", sparse(), EYE, entropy(LABELS)),
    "labels, one-hot loss": Trial(CLASSES, "softmax", one_hot(), LABELS, entropy(LABELS)),
    "softmax as logits": Trial(CLASSES, "softmax", sparse(True), LABELS, entropy(LABELS),
        right_on=("tensorflow",)),
    "one-hot, softmax as logits": Trial(CLASSES, "softmax", one_hot(True), EYE, entropy(LABELS),
        right_on=("tensorflow",)),
    "logits as softmax": Trial(CLASSES, "linear", sparse(), LABELS, entropy(LABELS)),
    "one-hot, logits as softmax": Trial(CLASSES, "linear", one_hot(), EYE, entropy(LABELS)),
    "log-softmax as softmax": Trial(CLASSES, "log_softmax", sparse(), LABELS, entropy(LABELS)),
    "sigmoid as logits": Trial(1, "sigmoid", binary(True), BITS, binary_entropy(BITS),
        right_on=("tensorflow",)),
    "logits as sigmoid": Trial(1, "linear", binary(), BITS, binary_entropy(BITS)),
    "bits 1 and 2": Trial(1, "sigmoid", binary(), BITS + 1, binary_entropy(BITS)),
    "bits -1 and 1": Trial(1, "sigmoid", binary(), 2 * BITS - 1, binary_entropy(BITS)),
    "softmax over one unit": Trial(1, "softmax", binary(), BITS, binary_entropy(BITS)),
    "two columns for one": Trial(1, "linear", keras.losses.MeanSquaredError, EYE[:, :2], refused),
    "one column for two": Trial(2, "linear", keras.losses.MeanSquaredError, EYE[:, :1], refused),
    "one value for two": Trial(2, "linear", keras.losses.MeanSquaredError, EYE[:, 0], refused),
    "weights (N,) over steps": Trial(CLASSES, "softmax", sparse(), STEP_LABELS,
        entropy(STEP_LABELS, WEIGHTS[:, None]), x=STEPS, weights=WEIGHTS),
}  # fmt: skip


def keras_number(trial: Trial) -> tuple[float | None, Any]:
    """Return the loss that Keras computes (None when it raises), and the logits."""
    inputs = keras.Input(trial.x.shape[1:])
    layer = keras.layers.Dense(trial.units, activation=trial.activation)
    model = keras.Model(inputs, layer(inputs))
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in layer.weights)
    # Compiled as users have it: TensorFlow looks for a softmax in the graph.
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=trial.loss())
    try:
        number = model.train_on_batch(trial.x, trial.y, trial.weights, return_dict=True)["loss"]
    except Exception:  # each backend raises its own kind
        return None, None
    return float(number), trial.x @ kernel + bias


def is_refused(trial: Trial) -> bool:
    loss = trial.loss()
    shape = (*trial.x.shape[1:-1], trial.units)
    from_logits = getattr(loss, "from_logits", None)
    output = OutputFacts("y", shape, trial.activation, type(loss).__name__, from_logits)
    model = ModelFacts((InputFacts("x", trial.x.shape[1:], "float32"),), (output,), ("loss",))
    split = Split(trial.x, trial.y, trial.weights)
    findings = examine(Case(Data(split, split), model, Plan().edit({"batch.size": NUM})))
    return any(finding.severity == "error" for finding in findings)


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted_is_right(name: str) -> None:
    trial = ACCEPTED[name]
    number, logits = keras_number(trial)
    assert number == pytest.approx(trial.right(logits), rel=1e-4)
    assert not is_refused(trial)


@pytest.mark.filterwarnings("ignore:.*received `from_logits=True`:UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_wrong(name: str, backend: str) -> None:
    trial = REFUSED[name]
    number, logits = keras_number(trial)
    is_right = number is not None and number == pytest.approx(trial.right(logits), rel=1e-4)
    assert is_right == (backend in trial.right_on)
    assert is_refused(trial)


def test_fractions_are_cut_off_silently() -> None:
    whole = Trial(CLASSES, "softmax", sparse(), LABELS, entropy(LABELS))
    number, logits = keras_number(Trial(CLASSES, "softmax", sparse(), LABELS + 0.5, refused))
    assert number == pytest.approx(entropy(LABELS)(logits), rel=1e-4)
    assert is_refused(Trial(CLASSES, "softmax", sparse(), LABELS + 0.5, refused))
    assert not is_refused(whole)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_value_that_is_not_finite_spoils_all_weights_silently(value: float) -> None:
    x = FLAT.copy()
    x[2, 1] = value
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    model.fit(x, BITS.astype("float32"), batch_size=NUM, verbose=0)
    assert not np.isfinite(model.get_weights()[0]).any()
    assert is_refused(Trial(1, "linear", keras.losses.MeanSquaredError, BITS, refused, x=x))

"""Healthy cases, close to broken ones, of which the doctor must say nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from doctor_cases import case, features, one_hot, output
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.data import Data, Split
from slipstream.doctor import Case, examine, refuse
from slipstream.doctor._arrays import Part, bad_rows
from slipstream.plan import Plan
from slipstream.task import InputFacts, OutputFacts

SPARSE = output((4,), "softmax", "SparseCategoricalCrossentropy")
ONE_HOT = output((4,), "softmax", "CategoricalCrossentropy")
BINARY = output((1,), "sigmoid", "BinaryCrossentropy", metrics=("BinaryAccuracy", "AUC"))
REGRESSION = output((1,), "linear", "MeanSquaredError", metrics=("MeanAbsoluteError", "R2Score"))


def labels(n: int) -> np.ndarray:
    return np.arange(n) % 4


def bits(n: int) -> np.ndarray:
    return np.arange(n) % 2


def values(n: int) -> np.ndarray:
    return np.linspace(-300, 300, n)


def sequence_labels(n: int) -> np.ndarray:
    return np.arange(n * 5).reshape(n, 5) % 4


def with_(base: OutputFacts, **changes: Any) -> OutputFacts:
    return OutputFacts(**{**vars(base), **changes})


TWO_OUTPUTS = (with_(SPARSE, name="kind"), with_(REGRESSION, name="price"))
TWO_INPUTS = (InputFacts("a", (3,), "float32"), InputFacts("b", (2, None), "float32"))
SEQUENCE = output((5, 4), "softmax", "SparseCategoricalCrossentropy")
NAMED_Y = {"kind": labels, "price": values}

HEALTHY: dict[str, Case] = {
    "labels (N,), sparse": case(labels, SPARSE),
    "labels (N, 1), sparse": case(lambda n: labels(n)[:, None], SPARSE),
    "labels as whole floats": case(lambda n: labels(n).astype("float32"), SPARSE),
    "labels as uint8": case(lambda n: labels(n).astype("uint8"), SPARSE),
    "not every token occurs": case(
        bits,
        with_(SPARSE, shape=(50,)),
        inputs=(InputFacts("x", (3,), "int32"),),
        x=lambda n: (features(3)(n) * 50).astype("int32"),
        layers=("Dense", "Embedding"),
    ),
    "too few to tell that a class is missing": case(bits, with_(SPARSE, shape=(9,))),
    "labels as bool, two outputs": case(lambda n: bits(n) > 0, with_(SPARSE, shape=(2,))),
    "logits and from_logits": case(labels, with_(SPARSE, activation="linear", from_logits=True)),
    "log-softmax and from_logits": case(
        labels, with_(SPARSE, activation="log_softmax", from_logits=True)
    ),
    "activation not known": case(labels, with_(SPARSE, activation="unknown")),
    "ignored label": case(
        lambda n: np.where(np.arange(n) % 9 == 2, -1, labels(n)), with_(SPARSE, ignore_class=-1)
    ),
    "one-hot": case(one_hot, ONE_HOT),
    "smoothed one-hot": case(lambda n: one_hot(n) * 0.9 + 0.025, ONE_HOT),
    "one-hot, binary loss": case(one_hot, output((4,), "sigmoid", "BinaryCrossentropy")),
    "several classes, binary loss": case(
        lambda n: np.ones((n, 4)), output((4,), "sigmoid", "BinaryCrossentropy")
    ),
    "binary (N,)": case(bits, BINARY),
    "binary (N, 1)": case(lambda n: bits(n)[:, None], BINARY),
    "binary as bool": case(lambda n: bits(n) > 0, BINARY),
    "binary, soft labels": case(lambda n: np.linspace(0, 1, n), BINARY),
    "binary logits": case(bits, with_(BINARY, activation="linear", from_logits=True)),
    "binary (N, 1) with F1": case(lambda n: bits(n)[:, None], with_(BINARY, metrics=("F1Score",))),
    "hinge with -1 and 1": case(lambda n: 2 * bits(n) - 1, output((1,), "tanh", "Hinge")),
    "regression (N,)": case(values, REGRESSION, logged=("loss",)),
    "regression (N, 1)": case(lambda n: values(n)[:, None], REGRESSION),
    "regression (N, 1), own loss": case(
        lambda n: values(n)[:, None], with_(REGRESSION, loss="custom", metrics=("custom",))
    ),
    "regression, own function": case(values, with_(REGRESSION, loss="function")),
    "regression, both (N,)": case(
        values, with_(REGRESSION, shape=(), metrics=()), logged=("loss", "mae")
    ),
    "regression (N, 1), output (N,)": case(
        lambda n: values(n)[:, None], with_(REGRESSION, shape=(), metrics=()), logged=("loss",)
    ),
    "R2 of targets (N, 1), output (N,)": case(
        lambda n: values(n)[:, None], with_(REGRESSION, shape=(), metrics=("R2Score",))
    ),
    "regression of 2": case(lambda n: np.ones((n, 2)), with_(REGRESSION, shape=(2,))),
    "images to images": case(lambda n: np.ones((n, 8, 8, 1)), with_(REGRESSION, shape=(8, 8, 1))),
    "images to images without channel": case(
        lambda n: np.ones((n, 8, 8)), with_(REGRESSION, shape=(None, None, 1), metrics=())
    ),
    "own loss with columns of its own": case(
        lambda n: np.ones((n, 2)), with_(REGRESSION, loss="custom", metrics=("custom",))
    ),
    "own loss on labels": case(labels, with_(SPARSE, loss="custom", metrics=("custom",))),
    "sequence (N, T, C)": case(sequence_labels, SEQUENCE),
    "sequence (N, T, 1)": case(lambda n: sequence_labels(n)[..., None], SEQUENCE),
    "sequence of free length": case(sequence_labels, with_(SEQUENCE, shape=(None, 4))),
    "sequence with weights (N, T)": case(
        sequence_labels, SEQUENCE, weight=lambda n: np.ones((n, 5))
    ),
    "sequence with weights (N, 1)": case(
        sequence_labels, SEQUENCE, weight=lambda n: np.ones((n, 1))
    ),
    "weights (N,)": case(labels, SPARSE, weight=lambda n: np.linspace(0, 1, n)),
    "weights (N, 1)": case(labels, SPARSE, weight=lambda n: np.ones((n, 1))),
    "outputs by position": case(lambda n: (labels(n), values(n)), *TWO_OUTPUTS),
    "outputs as a list": case(lambda n: [labels(n), values(n)], *TWO_OUTPUTS),
    "outputs by name": case(lambda n: {k: f(n) for k, f in NAMED_Y.items()}, *TWO_OUTPUTS),
    "outputs by name in another order": case(
        lambda n: {k: f(n) for k, f in reversed(NAMED_Y.items())}, *TWO_OUTPUTS
    ),
    "one weight for both outputs": case(
        lambda n: (labels(n), values(n)), *TWO_OUTPUTS, weight=np.ones
    ),
    "weights by name": case(
        lambda n: (labels(n), values(n)),
        *TWO_OUTPUTS,
        weight=lambda n: {"kind": np.ones(n), "price": np.ones(n)},
    ),
    "two inputs": case(
        labels, SPARSE, inputs=TWO_INPUTS, x=lambda n: (features(3)(n), features(2, 9)(n))
    ),
    "an input by name that is not used": case(
        labels, SPARSE, x=lambda n: {"x": features(3)(n), "row": np.arange(n)}
    ),
    "images without channel axis": case(
        labels,
        SPARSE,
        inputs=(InputFacts("x", (8, 8, 1), "float32"),),
        x=features(8, 8),
    ),
    "binary masks as uint8": case(
        labels,
        SPARSE,
        inputs=(InputFacts("x", (40,), "float32"),),
        x=lambda n: (features(40)(n) > 0.5).astype("uint8"),
    ),
    "bytes and a model that scales them": case(
        labels, SPARSE, x=lambda n: (features(3)(n) * 255).astype("uint8"), layers=("Rescaling",)
    ),
    "whole numbers that are no pixels": case(
        labels, SPARSE, x=lambda n: np.floor(features(3)(n) * 255)
    ),
    "sorted labels, shuffled": case(lambda n: np.sort(labels(n)), SPARSE),
    "mixed labels, not shuffled": case(labels, SPARSE, is_shuffled=False),
    "hinge with 0 and 1": case(bits, output((1,), "tanh", "Hinge")),
    "rare classes and weights": case(
        lambda n: np.arange(n) % 20 == 0,
        BINARY,
        weight=lambda n: np.where(np.arange(n) % 20 == 0, 20.0, 1.0),
    ),
    "rare classes and a focal loss": case(
        lambda n: np.arange(n) % 20 == 0, with_(BINARY, loss="BinaryFocalCrossentropy")
    ),
    "targets within reach": case(lambda n: bits(n) * 0.5, with_(REGRESSION, activation="sigmoid")),
    "pixels of which some are always 0": case(
        labels,
        SPARSE,
        inputs=(InputFacts("x", (9,), "float32"),),
        x=lambda n: features(9)(n) * (np.arange(9) > 0) * (features(9)(n + 1)[1:] > 0.4),
    ),
    "bytes for an embedding": case(
        labels,
        SPARSE,
        inputs=(InputFacts("x", (3,), "int32"),),
        x=lambda n: (features(3)(n) * 200).astype("uint8"),
    ),
    "ids that fill an Embedding's table, as floats": case(
        labels,
        SPARSE,
        inputs=(InputFacts("x", (3,), "float32", table=200),),
        layers=("Embedding",),
        x=lambda n: np.maximum(features(3)(n) * 200 - 0.9, [[199, 0, -0.9]] * n),
    ),
    "text for a model of text": case(
        labels,
        SPARSE,
        inputs=(InputFacts("x", (), "string"),),
        x=lambda n: np.array(["a b"] * n),
    ),
    "half precision that sums to infinity": case(
        labels, SPARSE, x=lambda n: (60_000 + 2000 * features(3)(n)).astype("float16")
    ),
    "large numbers that sum to infinity": case(
        labels, SPARSE, x=lambda n: features(3)(n) * np.float32(1e38) + np.float32(2e38)
    ),
    "a batch of the whole split": case(labels, SPARSE, changes={"batch.size": 40}),
    "accumulation up to the split": case(
        labels, SPARSE, changes={"batch.size": 10, "batch.accumulation": 4}
    ),
    "monitor of a metric": case(labels, SPARSE, monitor="val_accuracy"),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_the_doctor_is_silent(name: str) -> None:
    findings = examine(HEALTHY[name])
    assert findings == ()
    refuse(findings)


@given(
    rows=st.integers(1, 5000),
    width=st.integers(1, 200),
    bad=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=4),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
)
@settings(max_examples=40, deadline=None)
def test_scanning_in_pieces_finds_what_scanning_at_once_finds(
    rows: int, width: int, bad: list[tuple[float, float]], value: float
) -> None:
    x = np.zeros((rows, width), "float32")
    for row, column in bad:
        x[int(row * (rows - 1)), int(column * (width - 1))] = value
    expected = np.flatnonzero(~np.isfinite(x).all(axis=1))
    found = bad_rows(Part("training", "inputs", "", x), lambda part: ~np.isfinite(part))
    assert (found.num_bad, found.num_rows) == (len(expected), rows)
    assert list(found.first) == list(expected[:3])
    split = Split(x, np.arange(rows) % 4)
    whole = Case(Data(split, split), case(labels, SPARSE).model, Plan().edit({"batch.size": 1}))
    said = {f.check for f in examine(whole)} & {"not_finite"}
    assert bool(said) == bool(len(expected))


def test_bytes_that_the_model_scales_itself_are_no_finding():
    # No feature is constant, and no row like another.
    bytes_of = lambda n: np.random.default_rng(n).integers(0, 256, (n, 3), "uint8")  # noqa: E731
    bare = case(labels, SPARSE, x=bytes_of)
    scaled = replace(bare, model=replace(bare.model, layers=("Dense", "Rescaling")))
    assert [finding.check for finding in examine(bare)] == ["unscaled_inputs"]
    assert examine(scaled) == ()

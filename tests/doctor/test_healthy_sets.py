"""Twenty-odd healthy sets, real and realistic: nothing is refused, and what is told is true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doctor_cases import output
from PIL import Image
from sklearn import datasets
from sklearn.model_selection import train_test_split

from slipstream import tasks
from slipstream.data import Data, Split, image_folder, to_data
from slipstream.doctor import Case, examine
from slipstream.plan import Plan
from slipstream.task import InputFacts, ModelFacts, OutputFacts
from slipstream.tasks import fashion_mnist

RANDOM = np.random.default_rng(11)
MEAN_SQUARE = output((1,), "linear", "MeanSquaredError", metrics=("MeanAbsoluteError",))
BINARY = output((1,), "sigmoid", "BinaryCrossentropy", metrics=("AUC",))


def classes(count: int, logits: bool = False, **more: Any) -> OutputFacts:
    ending = "linear" if logits else "softmax"
    loss = "SparseCategoricalCrossentropy"
    return output((count,), ending, loss, from_logits=logits, **more)


def facts(x: Any, *outputs: OutputFacts, layers: tuple[str, ...] = ("Dense",)) -> ModelFacts:
    dtype = "int32" if "Embedding" in layers else "float32"
    return ModelFacts((InputFacts("x", x.shape[1:], dtype),), outputs, ("loss",), layers)


def made(x: Any, y: Any, *outputs: OutputFacts, weight: Any = None, **more: Any) -> Case:
    """Return a case of examples of which a fifth is set apart, as for a task without splits."""
    return Case(to_data(Split(x, y, weight)), facts(x, *outputs, **more), Plan())


def bundled(loader: Callable[..., Any], *outputs: OutputFacts) -> Case:
    x, y = loader(return_X_y=True)
    stratify = y if y.dtype.kind == "i" else None
    parts = train_test_split(x, y, test_size=0.25, random_state=0, stratify=stratify)
    x_train, x_held, y_train, y_held = parts
    data = Data(Split(x_train, y_train), Split(x_held, y_held))
    return Case(data, facts(x, *outputs), Plan().edit({"batch.size": 8}))


def built_in(name: str, *outputs: OutputFacts, **more: Any) -> Case:
    data = to_data(tasks.resolve(name).data())
    return Case(data, facts(data.train.x, *outputs, **more), Plan())


def fashion() -> Case:
    if fashion_mnist._find_folder() is None:
        pytest.skip("Fashion-MNIST is not installed")
    data = fashion_mnist.load_data()
    train, validation = data.train.take(np.arange(4000)), data.validation.take(np.arange(1000))
    test = data.test.take(np.arange(1000))
    x = data.train.x
    return Case(Data(train, validation, test), facts(x, classes(10, logits=True)), Plan())


def fraud() -> Case:
    x = RANDOM.normal(size=(2100, 12))
    y = (np.arange(2100) % 21 == 0).astype(int)
    return made(x + 2 * y[:, None], y, BINARY)


def windows() -> Case:
    series = np.sin(np.arange(1200) / 9)[:, None] + RANDOM.normal(size=(1200, 3)) / 9
    x = np.lib.stride_tricks.sliding_window_view(series, 24, axis=0).swapaxes(1, 2)[:-1]
    data = Data(Split(x[:900], series[24:924, 0]), Split(x[930:], series[954:, 0]))
    return Case(data, facts(x, MEAN_SQUARE, layers=("LSTM", "Dense")), Plan())


def padded_tokens() -> Case:
    lengths = RANDOM.integers(3, 30, 800)
    x = RANDOM.integers(2, 5000, (800, 32))
    x[:, 0] = 1
    x[np.arange(32) > lengths[:, None]] = 0
    return made(x, np.arange(800) % 2, BINARY, layers=("Embedding", "LSTM", "Dense"))


def next_token() -> Case:
    text = np.minimum(RANDOM.zipf(1.5, 30_000), 400) - 1
    x = np.lib.stride_tricks.sliding_window_view(text, 17)[::7]
    return made(x[:, :-1], x[:, -1], classes(500), layers=("Embedding", "GRU", "Dense"))


def photographs(folder: Path) -> Case:
    for name in ("cat", "dog", "owl"):
        (folder / name).mkdir()
        for number in range(20):
            pixels = RANDOM.integers(0, 256, (12, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    split = image_folder(folder, size=(12, 12))
    model = facts(split.x, classes(3), layers=("Rescaling", "Conv2D", "Dense"))
    return Case(to_data(split), model, Plan().edit({"batch.size": 16}))


def bag_of_words() -> Case:
    x = (RANDOM.random((600, 300)) < 0.02 * (np.arange(300) > 4)).astype("float32")
    return made(x, np.arange(600) % 4, classes(4))


def segmentation() -> Case:
    x = RANDOM.random((60, 16, 16, 3), "float32")
    y = np.where(x[..., 0] > 0.9, 255, (x[..., 1] > 0.95).astype(int))
    loss = "SparseCategoricalCrossentropy"
    return made(x, y, output((16, 16, 5), "softmax", loss, ignore_class=255))


def two_outputs() -> Case:
    x = RANDOM.normal(size=(500, 6))
    y = {"kind": np.arange(500) % 3, "price": np.abs(x[:, :1]) * 1e5}
    weight = {"kind": RANDOM.random(500), "price": np.ones(500)}
    split = Split(x, y, weight)
    kind = OutputFacts(**{**vars(classes(3)), "name": "kind"})
    price = OutputFacts(**{**vars(MEAN_SQUARE), "name": "price", "activation": "softplus"})
    return Case(to_data(split), facts(x, kind, price), Plan())


def distributions() -> Case:
    x, y = RANDOM.normal(size=(400, 8)), RANDOM.dirichlet(np.ones(5), 400)
    return made(x, y, output((5,), "softmax", "KLDivergence"))


def coded_features() -> Case:
    x = np.stack([RANDOM.integers(0, n, 900) for n in (3, 7, 2, 40, 365, 24)], axis=1)
    x = np.concatenate([np.ones((900, 1), int), x], axis=1)
    return made(x, (x[:, 1] + x[:, 2]) % 3, classes(3))


def small_table() -> Case:
    x = RANDOM.integers(0, 3, (600, 3)).astype("float32")
    return made(x, x.sum(axis=1) % 2, BINARY)


def images_as_bytes(scaling: str = "Rescaling") -> Case:
    x = RANDOM.integers(0, 256, (300, 8, 8, 3), np.uint8)
    return made(x, np.arange(300) % 6, classes(6), layers=(scaling, "Conv2D", "Dense"))


def named(count: int) -> np.ndarray:
    return np.eye(count, dtype="float32")[np.arange(700) % count]


def one_hot_features() -> Case:
    codes = RANDOM.integers(0, 4, (700, 5))
    return made(np.eye(4, dtype="float32")[codes].reshape(700, 20), codes[:, 0] % 3, classes(3))


def amounts() -> Case:
    income, gain = RANDOM.lognormal(10, 1, 700), RANDOM.lognormal(6, 2, 700)
    gain[::90] = 99_999
    x = np.column_stack([income, gain.clip(0, 99_999), RANDOM.random((700, 3)), gain > 500])
    return made(x, np.arange(700) % 2, BINARY)


def rising_series(growth: float = 0.0) -> Case:
    series = np.arange(1300) / 100 + RANDOM.normal(size=1300)
    series = np.exp(growth * series) if growth else series
    series = (series - series[:900].mean()) / series[:900].std()
    x = np.lib.stride_tricks.sliding_window_view(series, 24)[:-1, :, None]
    data = Data(Split(x[:876], series[24:900]), Split(x[900:], series[924:]))
    return Case(data, facts(x, MEAN_SQUARE, layers=("LSTM", "Dense")), Plan())


def two_cameras() -> Case:
    x, y = RANDOM.random((400, 8, 8, 3), "float32"), np.arange(400) % 4
    data = Data(Split(x[:300], y[:300]), Split(0.3 * x[300:], y[300:]))
    return Case(data, facts(x, classes(4)), Plan())


def another_year() -> Case:
    years = 2015.0 + np.arange(600) // 100
    x = np.column_stack([years, RANDOM.integers(1, 13, 600), RANDOM.normal(size=(600, 2))])
    parts = [Split(x[a:b], x[a:b, 2]) for a, b in ((0, 400), (400, 500), (500, 600))]
    return Case(Data(*parts), facts(x, MEAN_SQUARE), Plan())


def by_time(first: int, is_split: bool) -> Case:
    """Return a series of measurements with the number of their time, forecast from the past."""
    x = np.column_stack([first + np.arange(320), RANDOM.normal(size=(320, 3))])
    split = Split(x, RANDOM.normal(size=320))
    if not is_split:
        return made(x, split.y, MEAN_SQUARE)
    data = Data(split.take(np.arange(250)), split.take(np.arange(250, 320)))
    return Case(data, facts(x, MEAN_SQUARE), Plan())


def flat_digits(axis: int | None) -> Case:
    """Return images as rows, standardised, whose edges are the same in all of them."""
    x, y = datasets.load_digits(return_X_y=True)
    spread = x.std(axis=axis)
    x = (x - x.mean(axis=axis)) / np.where(spread, spread, 1)
    return made(x.astype("float32"), y, classes(10))


X = RANDOM.normal(size=(700, 9)).astype("float32")
PICTURES = RANDOM.random((300, 8, 8, 1), "float32")

# What a set holds and is told of it, beside the set.
SETS: dict[str, tuple[set[str], Callable[[], Case]]] = {
    # Two of its flowers, one in each split, have the same measurements.
    "iris": ({"shared_rows"}, lambda: bundled(datasets.load_iris, classes(3))),
    "wine": (set(), lambda: bundled(datasets.load_wine, classes(3))),
    "breast cancer": (set(), lambda: bundled(datasets.load_breast_cancer, BINARY)),
    "digits": (set(), lambda: bundled(datasets.load_digits, classes(10))),
    "diabetes": (set(), lambda: bundled(datasets.load_diabetes, MEAN_SQUARE)),
    "linnerud, 20 men": (
        {"tiny_split"},
        lambda: bundled(datasets.load_linnerud, output((3,), "linear", "MeanSquaredError")),
    ),
    "Fashion-MNIST": (set(), fashion),
    "the task digits": (set(), lambda: built_in("digits", classes(10, logits=True))),
    "the task breast_cancer": (set(), lambda: built_in("breast_cancer", BINARY)),
    "the task diabetes": (set(), lambda: built_in("diabetes", MEAN_SQUARE)),
    "the task next_character": (
        set(),
        lambda: built_in("next_character", classes(97, logits=True), layers=("Embedding", "GRU")),
    ),
    "fraud, 1 in 21": ({"class_imbalance"}, fraud),
    "windows of a series": (set(), windows),
    "padded tokens": (set(), padded_tokens),
    "the next token of many": (set(), next_token),
    "bags of words": (set(), bag_of_words),
    "masks of images": (set(), segmentation),
    "several labels an example": (
        set(),
        lambda: made(
            X, (X[:, :4] > 0.8).astype(int), output((4,), "sigmoid", "BinaryCrossentropy")
        ),
    ),
    "one-hot labels, compared one by one": (
        set(),
        lambda: made(X, named(5), output((5,), "softmax", "BinaryCrossentropy")),
    ),
    "one-hot labels": (
        set(),
        lambda: made(X, named(5), output((5,), "softmax", "CategoricalCrossentropy")),
    ),
    "smoothed one-hot labels": (
        set(),
        lambda: made(X, named(5) * 0.9 + 0.02, output((5,), "softmax", "CategoricalCrossentropy")),
    ),
    "large targets": (set(), lambda: made(X, 1e6 * X[:, 0] + 3e7, MEAN_SQUARE)),
    "counts": (
        set(),
        lambda: made(X, RANDOM.poisson(2.0, 700), output((1,), "exponential", "Poisson")),
    ),
    "signs for a hinge": (set(), lambda: made(X, np.sign(X[:, 0]), output((1,), "tanh", "Hinge"))),
    "shares": (set(), distributions),
    "vectors with a direction": (
        set(),
        lambda: made(X, X[:, :4], output((4,), "linear", "CosineSimilarity")),
    ),
    "two outputs with weights": (set(), two_outputs),
    "pictures as their own targets": (
        set(),
        lambda: made(PICTURES, PICTURES, output((8, 8, 1), "sigmoid", "MeanSquaredError")),
    ),
    "bytes and a model that scales them": (set(), images_as_bytes),
    "coded features and a column of ones": ({"constant_features"}, coded_features),
    "27 different rows in all": (set(), small_table),
    "one-hot features": (set(), one_hot_features),
    "yes and no alone": (
        set(),
        lambda: made(RANDOM.integers(0, 2, (700, 12)), np.arange(700) % 2, BINARY),
    ),
    "fraud, 1 in 70": ({"class_imbalance"}, lambda: made(X, np.arange(700) % 70 == 0, BINARY)),
    "amounts, shares and a capped gain": (set(), amounts),
    "a rising series, standardised": (set(), rising_series),
    "prices that multiply, standardised": (set(), lambda: rising_series(0.4)),
    "ranks": (set(), lambda: made(X.argsort(axis=0) * 0.5, X[:, 0], MEAN_SQUARE)),
    "a code beside few numbers": (
        set(),
        lambda: made(np.arange(700)[:, None], np.arange(700.0), MEAN_SQUARE),
    ),
    "mean square of a yes or no": (
        set(),
        lambda: made(
            X, X[:, 0] > 0, output((1,), "sigmoid", "MeanSquaredError", metrics=("Accuracy",))
        ),
    ),
    "images of two cameras": (set(), two_cameras),
    "years since 1700": (set(), lambda: by_time(1700, is_split=False)),
    "hours that go on": (set(), lambda: by_time(0, is_split=True)),
    "digits standardised pixel by pixel": (set(), lambda: flat_digits(axis=0)),
    "digits standardised as a whole": (set(), lambda: flat_digits(axis=None)),
    "bytes and a model that normalises them": (
        set(),
        lambda: images_as_bytes("BatchNormalization"),
    ),
    "a new year in the test split": (set(), another_year),
}


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_refused_and_no_more_is_told_than_is_true(name: str) -> None:
    told, make = SETS[name]
    findings = examine(make())
    assert not [str(finding) for finding in findings if finding.severity == "error"]
    assert {finding.check for finding in findings} == told, [str(found) for found in findings]


def test_a_folder_of_photographs_is_healthy(tmp_path: Path) -> None:
    assert examine(photographs(tmp_path)) == ()


def test_what_is_told_of_healthy_sets_is_counted_right() -> None:
    case = fraud()
    (finding,) = examine(case)
    rare = int(case.data.train.y.sum())
    assert f"{rare} examples of class 1" in finding.where
    assert f"beside {len(case.data.train.y) - rare:,} of class 0" in finding.where
    case = coded_features()
    (finding,) = examine(case)
    assert "1 of 7 features (number 0," in finding.where

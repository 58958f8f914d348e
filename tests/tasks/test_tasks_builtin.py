"""The built-in tasks: their data against what their sources say."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets

from slipstream import tasks
from slipstream.data import to_data

SMALL = ("breast_cancer", "diabetes", "digits", "digits_transfer", "next_character")
# Another net on the same data.
NETS = ("next_character_attention",)


@pytest.fixture(scope="module")
def data():
    return {name: to_data(tasks.resolve(name).data()) for name in SMALL}


def splits(data):
    return data.train, data.validation, data.test


def rows(split):
    """Return every example as one hashable value."""
    return [(x.tobytes(), y.tobytes()) for x, y in zip(split.x, split.y, strict=True)]


def test_all_tasks_are_listed_and_described():
    assert set(tasks.names()) == {*SMALL, *NETS, "fashion_mnist"}
    for name in tasks.names():
        line = tasks.describe(name)
        assert 20 < len(line) < 110 and "\n" not in line
        assert tasks.resolve(name).name == name


@pytest.mark.parametrize("name", SMALL)
def test_splits_are_of_the_right_form(data, name):
    for split in splits(data[name]):
        assert len(split.x) == len(split.y) > 80
        assert np.isfinite(split.x).all() and np.isfinite(split.y).all()


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("digits", datasets.load_digits),
        ("breast_cancer", datasets.load_breast_cancer),
        ("diabetes", datasets.load_diabetes),
    ],
)
def test_every_example_is_in_one_split_alone(data, name, source):
    num = [split.num_examples for split in splits(data[name])]
    assert sum(num) == len(source().target)
    np.testing.assert_allclose(np.array(num) / sum(num), (0.6, 0.2, 0.2), atol=0.005)
    # The sources hold no example twice, so a shared one would show.
    everything = [row for split in splits(data[name]) for row in rows(split)]
    assert len(set(everything)) == len(everything)


def test_digits_are_the_bundled_ones(data):
    bundled = datasets.load_digits()
    expected = {
        ((image / 16).astype(np.float32).tobytes(), label.tobytes())
        for image, label in zip(bundled.images, bundled.target.astype(np.int64), strict=True)
    }
    digits = data["digits"]
    assert {row for split in splits(digits) for row in rows(split)} == expected
    assert digits.train.x.shape[1:] == (8, 8, 1) and digits.train.x.dtype == np.float32
    assert digits.train.y.dtype == np.int64
    assert digits.train.x.min() == 0.0 and digits.train.x.max() == 1.0


def test_examples_know_their_rows_in_the_source(data):
    for split in splits(data["digits"]):
        np.testing.assert_array_equal(split.y, datasets.load_digits().target[split.rows])
        np.testing.assert_array_equal(
            split.x[..., 0] * 16, datasets.load_digits().images[split.rows]
        )
    for split in splits(data["breast_cancer"]):
        benign = datasets.load_breast_cancer().target[split.rows]
        np.testing.assert_array_equal(split.y[:, 0], benign)


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_all_splits_keep_the_shares_of_the_classes(data, name):
    counts = np.array([np.unique(s.y, return_counts=True)[1] for s in splits(data[name])])
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, np.tile(shares[0], (3, 1)), atol=0.01)


def test_tables_are_standardised_by_the_training_split_alone(data):
    for name in ("breast_cancer", "diabetes"):
        x = data[name].train.x.astype(np.float64)
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-5)
        assert abs(data[name].validation.x.mean(axis=0)).max() > 1e-3
    y = data["diabetes"].train.y
    np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=1e-5)


def test_targets_of_one_output_have_its_shape(data):
    for name in ("breast_cancer", "diabetes"):
        assert data[name].train.y.shape[1:] == (1,)
    assert set(np.unique(data["breast_cancer"].train.y)) == {0.0, 1.0}


def test_a_linear_model_shows_that_inputs_and_targets_belong_together(data):
    diabetes = data["diabetes"]
    weights, *_ = np.linalg.lstsq(diabetes.train.x, diabetes.train.y, rcond=None)
    error = np.mean((diabetes.validation.x @ weights - diabetes.validation.y) ** 2)
    # The target is above what a straight line reaches, and below the variance of the targets.
    assert error < tasks.resolve("diabetes").target < 0.6


def test_characters_follow_their_contexts_in_the_source():
    from pydoc_data.topics import topics

    from slipstream.tasks.next_character import ALPHABET

    split = to_data(tasks.resolve("next_character").data()).test
    source = "\n\n".join(topics.values())
    found = 0
    for context, symbol in zip(split.x[::400], split.y[::400], strict=True):
        if 0 in context or symbol == 0:
            continue
        text = "".join(ALPHABET[i - 1] for i in [*context, symbol])
        # Paragraphs that came twice are gone, so a window over their place is not in the source.
        found += text in source
    assert found >= 8


def test_stretches_of_text_do_not_overlap(data):
    windows = [
        {x.tobytes() for x in split.x.astype(np.int32)} for split in splits(data["next_character"])
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert len(windows[i] & windows[j]) < 0.002 * len(windows[j])
    x = data["next_character"].train.x
    assert x.dtype == np.int32 and x.shape == (20_000, 40) and 0 <= x.min() <= x.max() <= 96


def test_the_net_that_is_transferred_knows_digits_and_has_seen_none_of_the_new(data):
    from slipstream.tasks.digits_transfer import NUM_BEFORE, pretrained

    bunch = datasets.load_digits()
    new = data["digits_transfer"]
    rows_of_new = np.concatenate([split.rows for split in splits(new)])
    assert rows_of_new.tolist() == list(range(NUM_BEFORE, len(bunch.target)))
    for split in splits(new):
        np.testing.assert_array_equal(split.x * 16, bunch.data[split.rows])
        np.testing.assert_array_equal(split.y[:, 0], bunch.target[split.rows] % 2)
    # A line on its features tells digits apart that it has not seen, better than one on pixels.
    features = bunch.data / 16
    for kernel, bias in pretrained():
        features = np.maximum(features @ kernel + bias, 0)
    odd, few = bunch.target % 2, new.train.rows

    def right(x):
        weights, *_ = np.linalg.lstsq(x[few], odd[few], rcond=1e-2)
        rest = rows_of_new[len(few) :]
        return np.mean((x[rest] @ weights > 0.5) == odd[rest])

    assert right(features) > max(0.85, right(bunch.data / 16))


def test_another_process_loads_the_same_data(data):
    code = (
        "from slipstream import tasks; from slipstream.data import to_data\n"
        f"for name in {SMALL!r}: print(to_data(tasks.resolve(name).data()).digest())"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.split() == [data[name].digest() for name in SMALL]

"""Weights of classes against scikit-learn's."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from slipstream.ops.class_weights import balanced_weights, classes_of, weighted_examples

LABELS = np.random.default_rng(0).choice([0, 1, 4], 60, p=[0.7, 0.25, 0.05])


def test_balanced_weights_are_scikit_learns():
    present = np.unique(LABELS)
    expected = compute_class_weight("balanced", classes=present, y=LABELS)
    weights = balanced_weights(LABELS)
    assert list(weights) == list(present)
    np.testing.assert_allclose(list(weights.values()), expected)
    of_examples = weighted_examples(LABELS, weights)
    np.testing.assert_allclose(of_examples, compute_sample_weight("balanced", LABELS), rtol=1e-6)
    assert of_examples.mean() == pytest.approx(1)


def test_weights_of_the_examples_themselves_are_multiplied_in_their_own_shape():
    own = np.linspace(0.5, 2, 60)[:, None]
    found = weighted_examples(LABELS, {0: 1.0, 1: 2.0, 4: 3.0}, own)
    expected = own[:, 0] * np.select([LABELS == 1, LABELS == 4], [2.0, 3.0], 1.0)
    np.testing.assert_allclose(found, expected[:, None], rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS[:, None], LABELS.astype("float32"), np.eye(5)[LABELS], LABELS.astype("uint8")],
)
def test_classes_come_as_numbers_or_as_rows(labels):
    np.testing.assert_array_equal(classes_of(labels), LABELS)


@pytest.mark.parametrize(
    "labels",
    [
        *(LABELS + 0.5, np.array([0, np.nan]), np.array(["a", "b"]), np.ones((4, 3))),
        *(np.eye(3) * 0.5, np.arange(12).reshape(4, 3), np.zeros((4, 3, 1))),
    ],
)
def test_what_is_no_class_of_each_example_is_told(labels):
    assert classes_of(labels) is None

"""Augmentation against moving and mirroring images one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.data.augment import Augmentation


def one_by_one(image, down, right, mirror):
    """Move, then mirror an image of shape (height, width, channels); what comes in is 0."""
    moved = np.zeros_like(image)
    height, width, _ = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                moved[row, column] = image[row - down, column - right]
    return moved[:, ::-1] if mirror else moved


@settings(max_examples=40, deadline=None)
@given(
    shift=st.integers(0, 3),
    flip=st.booleans(),
    height=st.integers(1, 5),
    width=st.integers(1, 6),
    channels=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_it_moves_and_mirrors(shift, flip, height, width, channels, seed):
    images = np.random.default_rng(seed).integers(1, 255, (6, height, width, channels), "uint8")
    augmentation = Augmentation(shift, flip)
    draws = augmentation.draw(6, seed, 0)
    assert np.abs(draws[:, :2]).max() <= shift
    assert set(draws[:, 2]) <= ({0, 1} if flip else {0})
    before = images.copy()
    changed = augmentation.apply(images, draws)
    expected = [one_by_one(image, *draw) for image, draw in zip(images, draws, strict=True)]
    np.testing.assert_array_equal(changed, expected)
    np.testing.assert_array_equal(images, before)
    assert changed.dtype == images.dtype


def test_draws_are_new_in_every_epoch_and_follow_from_the_seed():
    augmentation = Augmentation(shift=2, flip=True)
    first = augmentation.draw(500, seed=1, epoch=0)
    np.testing.assert_array_equal(first, augmentation.draw(500, seed=1, epoch=0))
    assert not np.array_equal(first, augmentation.draw(500, seed=1, epoch=1))
    assert not np.array_equal(first, augmentation.draw(500, seed=2, epoch=0))
    # All moves and both sides come up about equally often.
    for column, values in ((0, 5), (1, 5), (2, 2)):
        counts = np.unique(first[:, column], return_counts=True)[1]
        assert len(counts) == values
        assert counts.min() > 0.6 * 500 / values


def test_arrays_that_are_no_images_stay():
    table = np.arange(12.0).reshape(4, 3)
    images = np.ones((4, 2, 2, 1))
    augmentation = Augmentation(shift=1, flip=False)
    draws = np.array([[1, 0, 0]] * 4)
    changed = augmentation.apply({"table": table, "image": images}, draws)
    assert changed["table"] is table
    assert changed["image"][:, 0].max() == 0


@pytest.mark.parametrize(
    ("shift", "flip", "on"), [(0, False, False), (1, False, True), (0, True, True)]
)
def test_whether_it_is_on(shift, flip, on):
    assert Augmentation(shift, flip).is_on is on

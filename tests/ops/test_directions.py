"""Directions whose filters are as long as those of the weights."""

import numpy as np

from slipstream.ops.directions import filter_normalized


def test_each_filter_is_as_long_as_its_own():
    generator = np.random.default_rng(0)
    shapes = {(3, 3, 4, 5): (3,), (7, 6): (1,), (9, 4): (0,), (3, 3, 4, 2): (2, 3), (5,): ()}
    weights = [generator.normal(size=shape).astype("float32") for shape in shapes]
    directions = filter_normalized(weights, list(shapes.values()), seed=1)
    for weight, direction, axes in zip(weights, directions, shapes.values(), strict=True):
        assert (direction.shape, direction.dtype) == (weight.shape, np.float32)
        if not axes:
            assert not direction.any()
            continue
        for place in np.ndindex(*(weight.shape[axis] for axis in axes)):
            chosen = [slice(None)] * weight.ndim
            for axis, index in zip(axes, place, strict=True):
                chosen[axis] = index
            lengths = [np.linalg.norm(part[tuple(chosen)]) for part in (weight, direction)]
            np.testing.assert_allclose(*lengths, rtol=1e-5)


def test_directions_follow_from_their_seeds_and_point_elsewhere():
    weights, axes = [np.ones((200, 50), np.float32)], [(1,)]
    (first,), (again,), (other,) = (filter_normalized(weights, axes, s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    cosine = np.sum(first * other) / (np.linalg.norm(first) * np.linalg.norm(other))
    assert abs(cosine) < 0.05


def test_a_filter_of_zeros_stays_where_it_is():
    (direction,) = filter_normalized([np.zeros((4, 2), np.float32)], [(1,)], 0)
    assert not direction.any()

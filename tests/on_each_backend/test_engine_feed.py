"""How an epoch is cut into blocks: every example once, in order, whatever the plan asks for."""

import numpy as np
import pytest
from engine_help import in_order, plan
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.data.splits import Split
from slipstream.engine.feed import Feed, Ragged, evaluation_batches


def numbered(num):
    """Examples that say which they are."""
    return Split(np.arange(num, dtype="int32").reshape(num, 1), np.arange(num), np.ones(num))


def seen(block, split):
    """Return the numbers of the examples of a block, padding left out, and of each update."""
    if isinstance(block, Ragged):
        updates = [np.concatenate([np.asarray(x)[:, 0] for x, _, _ in block.batches])]
    elif isinstance(block.arrays, np.ndarray):
        updates = [split.x[update.ravel(), 0] for update in block.arrays[: block.count]]
    else:
        updates = [update.ravel() for update in block.arrays[0][: block.count, ..., 0]]
    assert sum(len(update) for update in updates) == block.num_examples
    assert len(updates) == block.count
    return updates


@settings(max_examples=60, deadline=None)
@given(
    num=st.integers(1, 60),
    size=st.integers(1, 9),
    accumulation=st.integers(1, 4),
    steps=st.integers(1, 7),
    evaluations=st.integers(1, 5),
    remainder=st.sampled_from(["keep", "drop"]),
    cache=st.sampled_from(["host", "device"]),
    epoch=st.integers(0, 3),
)
def test_every_example_once_and_in_order(
    num, size, accumulation, steps, evaluations, remainder, cache, epoch
):
    split = numbered(num)
    plan_ = plan(
        {
            "batch.size": size,
            "batch.accumulation": accumulation,
            "batch.remainder": remainder,
            "runtime.steps_per_execution": steps,
            "duration.evaluations_per_epoch": evaluations,
            "data.cache": cache,
            "seeds.seed": 7,
        }
    )
    feed = Feed(split, plan_)
    blocks = list(feed.epoch(epoch))
    effective = size * accumulation
    keep = num // effective * effective if remainder == "drop" and num >= effective else num
    updates = [update for block in blocks for update in seen(block, split)]
    expected = in_order(split, 7, epoch, keep).x[:, 0]
    np.testing.assert_array_equal(np.concatenate(updates), expected)
    assert len(updates) == feed.updates_per_epoch
    assert all(len(update) == effective for update in updates[:-1])
    # No block reaches across a validation, and the last validation is at the end.
    ends = np.cumsum([block.count for block in blocks])
    points = feed.evaluation_points()
    assert points == sorted(set(points))
    assert points[-1] == feed.updates_per_epoch
    assert len(points) == min(evaluations, feed.updates_per_epoch)
    assert set(points) <= set(ends)
    # One shape for all blocks: one compilation.
    assert (
        len({np.shape(leaf(block))[:3] for block in blocks if not isinstance(block, Ragged)}) <= 1
    )
    assert all(block.count <= steps for block in blocks)


def leaf(block):
    return block.arrays if isinstance(block.arrays, np.ndarray) else block.arrays[0]


def test_targets_and_weights_stay_with_their_examples():
    split = Split(np.arange(10).reshape(10, 1), {"a": np.arange(10) * 2}, np.arange(10) / 10)
    for block in Feed(split, plan({"batch.size": 4})).epoch(0):
        for x, y, weights in block.batches if isinstance(block, Ragged) else [block.arrays]:
            np.testing.assert_array_equal(x[..., 0] * 2, y["a"])
            np.testing.assert_allclose(x[..., 0] / 10, weights)


def test_augmentation_is_drawn_anew_in_every_epoch():
    images = np.ones((8, 4, 4, 1), "float32")
    feed = Feed(Split(images, np.zeros(8)), plan({"augmentation.shift": 2}))
    first, second = (next(iter(feed.epoch(epoch))).arrays[0] for epoch in (0, 1))
    assert first.shape == (1, 1, 8, 4, 4, 1)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, next(iter(feed.epoch(0))).arrays[0])


@given(num=st.integers(1, 400), at_most=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_evaluation_covers_the_split_in_at_most_two_sizes(num, at_most):
    batches = evaluation_batches(numbered(num), at_most)
    np.testing.assert_array_equal(np.concatenate([x[:, 0] for x, _, _ in batches]), np.arange(num))
    sizes = [len(x) for x, _, _ in batches]
    assert max(sizes) <= at_most
    assert len(set(sizes[:-1])) <= 1


@pytest.mark.parametrize(("num", "sizes"), [(1000, [1000]), (1500, [750, 750]), (1031, [1024, 7])])
def test_evaluation_takes_one_size_where_it_can(num, sizes):
    assert [len(x) for x, _, _ in evaluation_batches(numbered(num), 1024)] == sizes

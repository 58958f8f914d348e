"""Changes of images against moving, cutting and averaging them one by one; mixed labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from slipstream.data.augmentation import (
    KINDS,
    Erase,
    Mix,
    Moves,
    ResizedCrop,
    draw_all,
    value_range,
)
from slipstream.data.mixed_labels import MixedLabels
from slipstream.data.rand_augment import AugMix, RandAugment

SIZE = (9, 7)
ALL = {
    "moves": Moves(2, True, True),
    "resized_crop": ResizedCrop(0.2, *SIZE),
    "rand_augment": RandAugment(2, 0.5, 0.0, 255.0),
    "augmix": AugMix(3, 0.3, 0.0, 255.0),
    "erase": Erase(0.5, 0.4, (*SIZE, 3), 0.0, 255.0),
    "mix": Mix(0.4, 1.0, *SIZE),
}


def pictures(num, height, width, channels, dtype="uint8", seed=0):
    values = np.random.default_rng(seed).integers(1, 256, (num, height, width, channels))
    return values.astype(dtype) if dtype == "uint8" else (values / 255).astype(dtype)


def random(seed=0):
    return np.random.default_rng(seed)


def one_by_one(image, down, right, mirror, over):
    """Move, then mirror an image of shape (height, width, channels); what comes in is 0."""
    moved = np.zeros_like(image)
    height, width, _ = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                moved[row, column] = image[row - down, column - right]
    moved = moved[:, ::-1] if mirror else moved
    return moved[::-1] if over else moved


@settings(max_examples=30, deadline=None)
@given(
    shift=st.integers(0, 3),
    flip=st.booleans(),
    over=st.booleans(),
    height=st.integers(1, 5),
    width=st.integers(1, 6),
    channels=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_it_moves_and_mirrors(shift, flip, over, height, width, channels, seed):
    images = pictures(6, height, width, channels, seed=seed)
    moves = Moves(shift, flip, over)
    draws = moves.draw(random(seed), 6)
    assert np.abs(draws[:, :2]).max() <= shift
    assert set(draws[:, 2]) <= ({0, 1} if flip else {0})
    assert set(draws[:, 3]) <= ({0, 1} if over else {0})
    before = images.copy()
    changed = moves.apply(images, draws)
    expected = [
        one_by_one(image, *draw) for image, draw in zip(images, draws.astype(int), strict=True)
    ]
    np.testing.assert_array_equal(changed, expected)
    np.testing.assert_array_equal(images, before)
    assert changed.dtype == images.dtype


def test_moves_and_mirrors_come_up_equally_often_and_apart():
    draws = Moves(2, True, True).draw(random(), 500)
    for column, values in ((0, 5), (1, 5), (2, 2), (3, 2)):
        counts = np.unique(draws[:, column], return_counts=True)[1]
        assert len(counts) == values
        assert counts.min() > 0.6 * 500 / values
    assert 0.4 < (draws[:, 2] == draws[:, 3]).mean() < 0.6


def test_a_resized_crop_is_what_interpolation_makes_of_the_part_alone():
    images = pictures(40, *SIZE, 2, "float32")
    crop = ResizedCrop(0.2, *SIZE)
    draws = crop.draw(random(), 40)
    changed = crop.apply(images, draws)
    top, left, height, width = draws.T.astype(int)
    assert (draws[:, :2] >= 0).all()
    assert (top + height <= SIZE[0]).all()
    assert (left + width <= SIZE[1]).all()
    # Sides are rounded to whole pixels.
    assert (height + 0.5) @ (width + 0.5) / 40 < 63
    assert (((height + 0.5) * (width + 0.5)) >= 0.2 * 63 * 0.7).all()
    assert len({(h, w) for h, w in zip(height, width, strict=True)}) > 8
    for index in range(40):
        part = images[index, top[index] :, left[index] :][: height[index], : width[index]]
        rows = (np.arange(SIZE[0]) + 0.5) * height[index] / SIZE[0] - 0.5
        columns = (np.arange(SIZE[1]) + 0.5) * width[index] / SIZE[1] - 0.5
        for channel in range(2):
            where = np.meshgrid(rows, columns, indexing="ij")
            expected = ndimage.map_coordinates(part[..., channel], where, order=1, mode="nearest")
            np.testing.assert_allclose(changed[index, ..., channel], expected, atol=1e-5)


def test_an_erased_box_has_one_colour_and_the_rest_stays():
    images = pictures(300, *SIZE, 3)
    draws = ALL["erase"].draw(random(), 300)
    changed = ALL["erase"].apply(images, draws)
    erased = 0
    for before, after, draw in zip(images, changed, draws, strict=True):
        top, left, height, width = draw[:4].astype(int)
        if height == 0:
            np.testing.assert_array_equal(after, before)
            continue
        erased += 1
        box = after[top : top + height, left : left + width]
        assert box.shape[:2] == (height, width)
        assert len(np.unique(box.reshape(-1, 3), axis=0)) == 1
        np.testing.assert_array_equal(box[0, 0], np.round(draw[4:]))
        rest = after.copy()
        rest[top : top + height, left : left + width] = before[
            top : top + height, left : left + width
        ]
        np.testing.assert_array_equal(rest, before)
        assert height * width <= 0.4 * 63 * 1.6
    assert 0.4 < erased / 300 < 0.6


def test_what_is_pasted_has_the_area_that_labels_count():
    mix = Mix(0.0, 1.0, 12, 10)
    ones, zeros = np.ones((400, 12, 10, 2)), np.zeros((400, 12, 10, 2))
    draws = mix.draw(random(), 400)
    mixed = mix.apply(ones, zeros, draws)
    np.testing.assert_allclose(mixed.mean((1, 2, 3)), draws[:, -1], atol=1e-6)
    assert set(np.unique(mixed)) == {0.0, 1.0}
    # Beta(1, 1) is uniform, and what is cut off at the borders adds to the own share.
    assert draws[:, -1].min() < 0.1
    assert 0.5 < draws[:, -1].mean() < 0.7


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_mixup_averages_by_weights_of_a_beta_distribution(alpha):
    mix = Mix(alpha, 0.0, 1, 1)
    draws = mix.draw(random(), 4000)
    weights = draws[:, 0]
    np.testing.assert_array_equal(weights, draws[:, -1])
    assert weights.mean() == pytest.approx(0.5, abs=0.03)
    assert weights.var() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.08)
    table, image = np.ones((5, 3), "float32"), pictures(5, 4, 4, 1)
    few = draws[:5]
    by_hand = few[:, :1] * table + (1 - few[:, :1]) * 3
    np.testing.assert_allclose(mix.apply(table, table * 3, few), by_hand, rtol=1e-6)
    other = image[::-1]
    weight = few[:, :1, None, None]
    expected = np.round(weight * image.astype("float32") + (1 - weight) * other)
    assert np.abs(mix.apply(image, other, few) - expected).max() <= 1


def test_with_both_each_example_has_either():
    draws = ALL["mix"].draw(random(), 500)
    is_cut = draws[:, 0] == 1
    assert 0.4 < is_cut.mean() < 0.6
    assert not draws[~is_cut, 1:5].any()
    np.testing.assert_array_equal(draws[~is_cut, 0], draws[~is_cut, -1])


def test_draws_follow_from_seed_epoch_and_place_and_from_no_other_kind():
    assert tuple(ALL) == KINDS
    first = draw_all(ALL, 50, seed=1, epoch=0)
    for name, kind in ALL.items():
        alone = draw_all({name: kind}, 50, seed=1, epoch=0)
        np.testing.assert_array_equal(alone[name], first[name])
        assert alone[name].dtype == np.float32
        for seed, epoch in ((1, 1), (2, 0)):
            other = draw_all({name: kind}, 50, seed, epoch)[name]
            assert not np.array_equal(other, first[name])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_shape_dtype_and_range_stay(name, dtype):
    images = pictures(20, *SIZE, 3, dtype)
    top = 255.0 if dtype == "uint8" else 1.0
    kind = ALL[name]
    if name in ("rand_augment", "augmix"):
        kind = type(kind)(*list(vars(kind).values())[:2], 0.0, top)
    elif name == "erase":
        kind = Erase(0.5, 0.4, (*SIZE, 3), 0.0, top)
    draws = kind.draw(random(), 20)
    changed = (
        kind.apply(images, images[::-1], draws) if name == "mix" else kind.apply(images, draws)
    )
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert changed.min() >= 0
    assert changed.max() <= top
    assert not np.array_equal(changed, images)


def test_the_range_is_told_from_the_images():
    assert value_range(np.array([3, 9], "uint8")) == (0, 255)
    assert value_range(np.array([0.1, 0.9])) == (0, 1)
    assert value_range(np.array([0.0, 16.0])) == (0, 255)
    assert value_range(np.array([-2.0, 3.0])) == (-2, 3)


def cross_entropy(rows, logits):
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -(rows * log_p).sum(-1)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_mixed_classes_is_the_mixture_of_two_losses(weighted):
    source = random()
    y, other = source.integers(0, 4, 30), source.integers(0, 4, 30)
    share = source.random(30).astype("float32")
    w, v = (source.uniform(0, 3, 30).astype("float32") if weighted else None for _ in range(2))
    logits = source.normal(size=(30, 4))
    labels = MixedLabels("classes", 4)
    rows, weights = labels.mix(y, w, other, v, share)
    np.testing.assert_allclose(rows.sum(-1), 1, rtol=1e-6)
    first, second = (share, 1 - share) if w is None else (share * w, (1 - share) * v)
    eye = np.eye(4)
    expected = first * cross_entropy(eye[y], logits) + second * cross_entropy(eye[other], logits)
    total = 1 if weights is None else weights
    np.testing.assert_allclose(total * cross_entropy(rows, logits), expected, rtol=1e-5)
    np.testing.assert_array_equal(labels.judged(rows), np.where(first >= second, y, other))


def test_labels_keep_the_tasks_form_for_metrics():
    share = np.array([0.25, 0.75], "float32")
    column = MixedLabels("classes", 3, in_columns=True)
    rows, _ = column.mix(np.array([[0], [1]]), None, np.array([[2], [2]]), None, share)
    assert column.judged(rows).tolist() == [[2], [1]]
    one_hot = MixedLabels("one_hot")
    rows, _ = one_hot.mix(np.eye(2), None, np.eye(2)[::-1], None, share)
    assert one_hot.judged(rows).tolist() == [[0, 1], [0, 1]]
    yes_no = MixedLabels("yes_no")
    rows, _ = yes_no.mix(np.array([[1], [0]]), None, np.array([[0], [1]]), None, share)
    assert rows.tolist() == [[0.25], [0.25]]
    assert yes_no.judged(rows).tolist() == [[0], [0]]
    numbers = MixedLabels("numbers")
    weights = (np.array([0.0, 2.0]), np.array([4.0, 2.0]))
    y, other = ({"size": np.array(sizes)} for sizes in ([4.0, 8.0], [0.0, 4.0]))
    rows, total = numbers.mix(y, weights[0], other, weights[1], share)
    assert rows["size"].tolist() == numbers.judged(rows["size"]).tolist() == [1.0, 7.0]
    assert total.tolist() == [3.0, 2.0]


def test_examples_without_weight_are_mixed_without_dividing_by_nothing():
    none = np.zeros(2, "float32")
    rows, total = MixedLabels("classes", 2).mix(
        np.array([0, 1]), none, np.array([1, 0]), none, np.array([0.3, 0.6], "float32")
    )
    assert np.isfinite(rows).all()
    assert total.tolist() == [0, 0]

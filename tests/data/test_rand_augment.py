"""Operations of RandAugment and AugMix against Pillow's and SciPy's, and how they are chosen."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from slipstream.data import rand_augment
from slipstream.data.rand_augment import AugMix, RandAugment, from_unit, operations, to_unit

NUM, HEIGHT, WIDTH = 5, 31, 24
STRENGTH = 0.5
PILLOW = {
    "equalize": ImageOps.equalize,
    "stretch": ImageOps.autocontrast,
    "solarize": lambda image: ImageOps.solarize(image, 128),
    "posterize": lambda image: ImageOps.posterize(image, 6),
}
ENHANCED = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "colour": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


def photographs(channels=3):
    """Smooth images of few greys, as a photograph has them, with some noise."""
    source = np.random.default_rng(0)
    noise = source.normal(size=(NUM, HEIGHT, WIDTH, channels)) * 60
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2, 0)) * 4 + 110
    return np.clip(smooth, 0, 255).astype("uint8")


def ours(name, images, sign=1.0):
    operation = getattr(rand_augment, name)
    changed = operation(
        to_unit(images, 0, 255), np.full(NUM, STRENGTH, "float32"), np.full(NUM, sign)
    )
    assert changed.dtype == np.float32
    return from_unit(images, changed, 0, 255).astype(int)


def pillows(images, change):
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in images]).astype(int)


@pytest.mark.parametrize("name", PILLOW)
def test_values_change_as_pillow_changes_them(name):
    images = photographs()
    expected = pillows(images, PILLOW[name])
    assert np.abs(expected - images).max() > 2
    assert np.abs(ours(name, images) - expected).max() <= 1


@pytest.mark.parametrize("name", ENHANCED)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_balances_change_as_pillow_changes_them(name, sign):
    images = photographs()
    factor = 1 + sign * 0.9 * STRENGTH
    expected = pillows(images, lambda image: ENHANCED[name](image).enhance(factor))
    assert np.abs(expected - images).max() > 2
    assert np.abs(ours(name, images, sign) - expected).max() <= 1


# Where no pixel comes to lie just on an edge.
TILT = 0.37
ANGLE = np.pi / 6 * TILT
WARPS = {
    "rotate": ([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]], (0, 0)),
    "shear_rows": ([[1, 0.3 * TILT], [0, 1]], (0, 0)),
    "shear_columns": ([[1, 0], [0.3 * TILT, 1]], (0, 0)),
    "move_rows": ([[1, 0], [0, 1]], (0.3 * TILT * HEIGHT, 0)),
    "move_columns": ([[1, 0], [0, 1]], (0, 0.3 * TILT * WIDTH)),
}


@pytest.mark.parametrize("name", WARPS)
def test_shapes_change_as_scipy_changes_them(name):
    images = to_unit(photographs(1), 0, 255)
    matrix, move = np.array(WARPS[name][0], float), np.array(WARPS[name][1])
    centre = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    strength = np.full(NUM, TILT, "float32")
    changed = getattr(rand_augment, name)(images, strength, np.ones(NUM))
    for before, after in zip(images[..., 0], changed[..., 0], strict=True):
        offset = centre - matrix @ centre + move
        # Outside of the image, by less than half a pixel, the edge goes on; then comes 0.
        expected = ndimage.affine_transform(
            before.astype(float), matrix, offset, order=1, mode="nearest"
        )
        seen = ndimage.affine_transform(
            np.ones_like(before, float), matrix, offset, order=0, mode="grid-constant"
        )
        np.testing.assert_allclose(after[seen > 0], expected[seen > 0], atol=1e-5)
        assert not after[seen == 0].any()
        assert np.abs(after - before).max() > 0.05


def test_the_other_direction_is_the_other_way():
    images = to_unit(photographs(1), 0, 255)
    strength = np.full(NUM, 0.4, "float32")
    for name in ("rotate", "shear_rows", "shear_columns", "move_rows", "move_columns"):
        operation = getattr(rand_augment, name)
        flipped = operation(images[:, ::-1], strength, -np.ones(NUM))[:, ::-1]
        straight = operation(images, strength, np.ones(NUM))
        if name == "move_columns":
            flipped = operation(images[:, :, ::-1], strength, -np.ones(NUM))[:, :, ::-1]
        np.testing.assert_allclose(flipped, straight, atol=1e-5)


def test_grey_images_have_no_colour_to_balance():
    assert len(operations(3, colours=True)) == 14
    assert len(operations(1, colours=True)) == 13
    assert len(operations(3, colours=False)) == len(operations(1, colours=False)) == 9


def test_every_image_goes_through_its_own_operations_in_their_order():
    images = photographs()
    kind = RandAugment(3, STRENGTH, 0.0, 255.0)
    draws = kind.draw(np.random.default_rng(3), NUM)
    together = kind.apply(images, draws)
    choices = operations(3, colours=True)
    strength = np.array([STRENGTH], "float32")
    for image, draw, changed in zip(images, draws, together, strict=True):
        alone = to_unit(image[None], 0, 255)
        for place in range(3):
            sign = -1.0 if draw[2 * place + 1] < 0.5 else 1.0
            alone = choices[int(draw[2 * place] * 14)](alone, strength, np.array([sign]))
        np.testing.assert_array_equal(changed, from_unit(image[None], alone, 0, 255)[0])
    used = (kind.draw(np.random.default_rng(0), 2000)[:, ::2] * 14).astype(int)
    assert np.bincount(used.ravel(), minlength=14).min() > 0.8 * 6000 / 14


def test_augmix_averages_chains_by_shares_that_sum_to_one():
    images = photographs()
    kind = AugMix(2, 0.4, 0.0, 255.0)
    draws = kind.draw(np.random.default_rng(4), NUM)
    np.testing.assert_allclose(draws[:, 1:3].sum(-1), 1, rtol=1e-5)
    changed = kind.apply(images, draws)
    choices = operations(3, colours=False)
    for image, draw, mixed in zip(images, draws, changed, strict=True):
        plain = to_unit(image[None], 0, 255)
        mixture = 0
        for share, numbers in zip(draw[1:3], draw[3:].reshape(2, 10), strict=True):
            chain = plain
            for which, strong, sign in numbers[1:].reshape(3, 3)[: 1 + int(numbers[0] * 3)]:
                strength = np.array([0.4 * (0.1 + 0.9 * strong)], "float32")
                direction = np.array([-1.0 if sign < 0.5 else 1.0])
                chain = choices[int(which * 9)](chain, strength, direction)
            mixture = mixture + share * chain
        expected = (1 - draw[0]) * plain + draw[0] * mixture
        assert np.abs(mixed.astype(int) - from_unit(image[None], expected, 0, 255)[0]).max() <= 1


def test_without_a_share_of_the_chains_images_stay():
    images = photographs()
    kind = AugMix(3, 0.3, 0.0, 255.0)
    draws = kind.draw(np.random.default_rng(0), NUM)
    draws[:, 0] = 0
    np.testing.assert_array_equal(kind.apply(images, draws), images)

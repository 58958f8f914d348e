"""From a plan's section on augmentation to what is done to examples, and where."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from slipstream.data.augmentation import (
    Draws,
    Erase,
    Kind,
    Mix,
    Moves,
    ResizedCrop,
    draw_all,
    value_range,
)
from slipstream.data.rand_augment import AugMix, RandAugment
from slipstream.data.splits import Array, Arrays, Split, leaves, map_arrays
from slipstream.errors import PlanError
from slipstream.plan import Plan
from slipstream.plan.augmentation import (
    HOST_ALONE,
    augments,
    changes_images,
    keys_in_words,
    mixes_labels,
)

_KEYS: Mapping[str, tuple[str, ...]] = {
    "moves": ("shift", "flip", "flip_vertical"),
    "resized_crop": ("resized_crop",),
    "rand_augment": ("rand_ops", "rand_strength"),
    "augmix": ("augmix", "augmix_strength"),
    "erase": ("erase", "erase_area"),
    "mix": ("mixup", "cutmix"),
}
NUM_SAMPLED = 64
HOST, STEP = "on the host", "in the step"


class Places(NamedTuple):
    """Places of an epoch, those that their examples are mixed with, and the epoch's order."""

    own: NDArray[np.int64]
    others: NDArray[np.int64]
    order: NDArray[np.int64]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Which examples they are."""
        rows: NDArray[np.int64] = self.order[self.own]
        return rows


@final
class Augmenter:
    """What a plan does to the examples of a training split.

    Everything is drawn on the host, from the seed, the epoch and the example's place in it. Images
    are changed on the host, or in the step by the same formulas; labels are mixed in the step.

    Args:
        plan: The plan.
        train: The training split.

    Raises:
        PlanError: The split has no images, or none that can be changed so.
    """

    def __init__(self, plan: Plan, train: Split) -> None:
        self._plan = plan
        self._kinds: dict[str, Kind | Mix] = {}
        self._in_step: frozenset[str] = frozenset()
        if not augments(plan):
            return
        images = [array for array in leaves(train.x) if array.ndim == 4]
        _refuse_no_images(plan, train, images)
        self._kinds = _kinds(plan, images)
        self._in_step = frozenset(name for name in self._kinds if _is_in_step(name, plan))

    @property
    def is_on(self) -> bool:
        """Whether it changes anything."""
        return bool(self._kinds)

    @property
    def is_in_step(self) -> bool:
        """Whether a part of it is done in the step: blocks hold more than examples then."""
        return bool(self._in_step) or "mix" in self._kinds

    @property
    def mix(self) -> Mix | None:
        """What mixes examples, or None."""
        mix = self._kinds.get("mix")
        return mix if isinstance(mix, Mix) else None

    @property
    def applied(self) -> dict[str, str]:
        """What is done where, by plan key."""
        values = self._plan.augmentation.model_dump()
        defaults = type(self._plan.augmentation)().model_dump()
        applied = {
            f"augmentation.{key}": f"{values[key]}, {self._place(name)}"
            for name in self._kinds
            for key in _KEYS[name]
            if values[key] != defaults[key]
        }
        if values["place"] != defaults["place"]:
            num_in_step = len(self._in_step)
            counts = f"{len(self._kinds) - num_in_step} {HOST}, {num_in_step} {STEP}"
            applied["augmentation.place"] = f"{values['place']}: {counts}"
        return applied

    def draw(self, num: int, epoch: int) -> dict[str, Draws]:
        """Return what is drawn for each place of an epoch, by kind."""
        return draw_all(self._kinds, num, self._plan.seeds.seed, epoch)

    def on_host(
        self, train: Split, places: Places, draws: Mapping[str, Draws], *, all_of_it: bool
    ) -> Arrays:
        """Return inputs, labels and weights of some examples, as the host changes the inputs.

        Args:
            train: The training split.
            places: Which examples, and with which they are mixed.
            draws: What was drawn for each place of the epoch.
            all_of_it: Whether the host does what else would be done in the step.
        """
        mix = self.mix if all_of_it or "mix" not in self._in_step else None
        if mix is None:
            x, y, weights = train.take(places.rows).parts()
            return self._changed(x, draws, places.own, all_of_it), y, weights
        # Each image is read and changed once, though it is mixed with two others.
        all_places, back = np.unique([places.own, places.others], return_inverse=True)
        own, others = back.reshape(2, -1)
        x, y, weights = train.take(places.order[all_places]).parts()
        x = self._changed(x, draws, all_places, all_of_it)
        drawn = draws["mix"][places.own]
        x = map_arrays(lambda a: mix.apply(a[own], a[others], drawn), x)
        return x, *map_arrays(lambda a: a[own], (y, weights))

    def _changed(
        self, x: Arrays, draws: Mapping[str, Draws], places: NDArray[np.int64], all_of_it: bool
    ) -> Arrays:
        for name, kind in self._kinds.items():
            if not isinstance(kind, Mix) and (all_of_it or name not in self._in_step):
                drawn = draws[name][places]
                x = map_images(partial(kind.apply, draws=drawn), x)
        return x

    def for_step(
        self, train: Split, places: Places, draws: Mapping[str, Draws], *, images: bool
    ) -> dict[str, Arrays]:
        """Return what the step needs beside the examples.

        "draws" by kind, where it changes images; where examples are mixed "other" (labels),
        "other_weights" and "share".
        """
        in_step = sorted(self._in_step) if images else []
        found: dict[str, Arrays] = {"draws": {n: draws[n][places.own] for n in in_step}}
        if self.mix is not None:
            rows = places.order[places.others]
            found["other"] = map_arrays(lambda array: array[rows], train.y)
            found["other_weights"] = map_arrays(lambda array: array[rows], train.sample_weight)
            found["share"] = draws["mix"][places.own, -1]
        return found

    def in_step(self, x: Arrays, draws: Mapping[str, Any], xp: Any) -> Arrays:
        """Return the inputs of one update as the step changes them, by `keras.ops`."""
        for name, kind in self._kinds.items():
            if name not in draws:
                continue
            if isinstance(kind, Mix):
                x = map_arrays(
                    lambda a: kind.apply(a, xp.roll(a, -1, axis=0), draws[name], xp),  # noqa: B023
                    x,
                )
            else:
                x = map_images(partial(kind.apply, draws=draws[name], xp=xp), x)
        return x

    def _place(self, name: str) -> str:
        place = STEP if name in self._in_step else HOST
        return f"{place}, labels in the step" if (name, place) == ("mix", HOST) else place


def _range_of(images: Any) -> tuple[float, float]:
    if images.dtype == np.uint8:
        return 0.0, 255.0
    if not isinstance(images, np.ndarray):
        # Of examples that lie in files, a few tell.
        images = images[np.linspace(0, len(images) - 1, NUM_SAMPLED).astype(np.int64)]
    return value_range(images)


def map_images(function: Any, x: Arrays) -> Arrays:
    """Apply a function to the images of a nest; arrays that are none stay as they are."""
    return map_arrays(lambda array: function(array) if len(array.shape) == 4 else array, x)


def _kinds(plan: Plan, images: list[Array]) -> dict[str, Kind | Mix]:
    section = plan.augmentation
    shape = images[0].shape[1:] if images else (1, 1, 1)
    height, width, channels = shape[0], shape[1], max([shape[2], *(a.shape[3] for a in images)])
    kinds: dict[str, Kind | Mix] = {}
    if section.shift or section.flip or section.flip_vertical:
        kinds["moves"] = Moves(section.shift, section.flip, section.flip_vertical)
    if section.resized_crop:
        kinds["resized_crop"] = ResizedCrop(section.resized_crop, height, width)
    low, high = 0.0, 1.0
    if section.rand_ops or section.augmix or section.erase:
        ranges = [_range_of(array) for array in images]
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    if section.rand_ops:
        kinds["rand_augment"] = RandAugment(section.rand_ops, section.rand_strength, low, high)
    if section.augmix:
        kinds["augmix"] = AugMix(section.augmix, section.augmix_strength, low, high)
    if section.erase:
        size = (height, width, channels)
        kinds["erase"] = Erase(section.erase, section.erase_area, size, low, high)
    if mixes_labels(plan):
        kinds["mix"] = Mix(section.mixup, section.cutmix, height, width)
    return kinds


def _is_in_step(name: str, plan: Plan) -> bool:
    if name in HOST_ALONE:
        return False
    place = plan.augmentation.place
    if place == "auto":
        return plan.data.cache == "device"
    return place == "device"


def _refuse_no_images(plan: Plan, train: Split, images: list[Array]) -> None:
    section = plan.augmentation
    inputs = list(leaves(train.x))
    shapes = ", ".join(f"{array.dtype} of shape {array.shape[1:]}" for array in inputs)
    if changes_images(plan) and not images:
        raise PlanError(
            f"an input of (height, width, channels) for {keys_in_words(plan)}",
            f"inputs that are {shapes}",
            f"Set {keys_in_words(plan, off=True)}.",
            code="SLP-140",
        )
    sizes = {array.shape[1:3] for array in images}
    if len(sizes) > 1 and (section.resized_crop or section.erase or section.cutmix):
        raise PlanError(
            "images of one height and width for augmentation.resized_crop, augmentation.erase and "
            "augmentation.cutmix",
            f"inputs that are {shapes}",
            f"Set {keys_in_words(plan, off=True)}.",
            code="SLP-141",
        )
    if section.cutmix and len(images) < len(inputs):
        raise PlanError(
            "images alone as inputs for augmentation.cutmix",
            f"inputs that are {shapes}",
            "Set augmentation.cutmix = 0.0; augmentation.mixup mixes inputs of any kind.",
            code="SLP-142",
        )
    whole = [a for a in inputs if a.dtype.kind != "f" and a.ndim != 4]
    if section.mixup and whole:
        raise PlanError(
            "images, or inputs of floating-point numbers, for augmentation.mixup",
            f"inputs that are {shapes}",
            "Set augmentation.mixup = 0.0: the mean of two numbers of words or classes is none.",
            code="SLP-143",
        )

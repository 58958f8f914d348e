"""The plan's section for augmentation, and what its keys mean together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from slipstream.plan.section import BelowOne, Fraction, Section

if TYPE_CHECKING:
    from slipstream.plan.plan import Plan

Alpha = Annotated[float, Field(ge=0.0, le=100.0)]
# Keys that switch a kind of augmentation on, with the value that switches it off.
SWITCHES = {
    "shift": 0,
    "flip": False,
    "flip_vertical": False,
    "resized_crop": 0.0,
    "rand_ops": 0,
    "augmix": 0,
    "erase": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}
# These run through other operations for each image: the host does them.
HOST_ALONE = ("rand_augment", "augmix")
HOST_KEYS = ("rand_ops", "augmix")


class Augmentation(Section):
    """New examples from old ones, drawn anew in every epoch. Images only, MixUp excepted."""

    shift: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="move by up to this many pixels: a random crop after padding with zeros",
    )
    flip: bool = Field(default=False, description="mirror left and right, every second time")
    flip_vertical: bool = Field(default=False, description="turn upside down, every second time")
    resized_crop: BelowOne = Field(
        default=0.0,
        description="blow up a random part; its smallest share of the area; 0 is off",
    )
    rand_ops: Annotated[int, Field(ge=0, le=14)] = Field(
        default=0, description="RandAugment: operations that each image goes through; 0 is off"
    )
    rand_strength: Fraction = Field(default=0.5, description="RandAugment: how strong they are")
    augmix: Annotated[int, Field(ge=0, le=10)] = Field(
        default=0, description="AugMix: chains of operations that are averaged; 0 is off"
    )
    augmix_strength: Fraction = Field(
        default=0.3, description="AugMix: how strong an operation is at most"
    )
    erase: Fraction = Field(default=0.0, description="share of the images that lose a random box")
    erase_area: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.33, description="erase: largest share of the area that the box has"
    )
    mixup: Alpha = Field(
        default=0.0, description="average two examples by Beta(mixup, mixup); 0 is off"
    )
    cutmix: Alpha = Field(
        default=0.0,
        description="paste a box of another image, its area by Beta(cutmix, cutmix); 0 is off",
    )
    place: Literal["auto", "host", "device"] = Field(
        default="auto", description="where images are changed: before the step, or within it"
    )


def augments(plan: Plan) -> bool:
    """Whether a plan changes examples."""
    return any(bool(getattr(plan.augmentation, key)) for key in SWITCHES)


def changes_images(plan: Plan) -> bool:
    """Whether it changes them in a way that is for images alone."""
    return any(bool(getattr(plan.augmentation, key)) for key in SWITCHES if key != "mixup")


def mixes_labels(plan: Plan) -> bool:
    """Whether examples are mixed with each other, and their labels."""
    return plan.augmentation.mixup > 0 or plan.augmentation.cutmix > 0


def needs_host(plan: Plan) -> bool:
    """Whether a part of it is for the host alone."""
    return any(bool(getattr(plan.augmentation, key)) for key in HOST_KEYS)


def keys_in_words(plan: Plan, off: bool = False) -> str:
    """Return the keys that are on, like "augmentation.flip = True"; with `off`, switched off."""
    section = plan.augmentation
    return " and ".join(
        f"augmentation.{key} = {switched_off if off else getattr(section, key)}".replace(
            "True", "true"
        ).replace("False", "false")
        for key, switched_off in SWITCHES.items()
        if getattr(section, key)
    )

"""RandAugment."""

from __future__ import annotations

from slipstream.techniques._augmentation import HOST_ALONE, of_images
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="rand_augment",
    title="RandAugment",
    summary=(
        "Puts each image through a few operations drawn at random from 13, 14 for colours, all "
        "at one strength."
    ),
    formula=(
        "x' = op_n(... op_1(x)),  op_k uniform among: none, rotate, shear and move in two "
        "directions, autocontrast, equalize, solarize, posterize, contrast, brightness, "
        "sharpness, colour"
    ),
    helps=("Photographs, on large nets and long runs; two numbers to tune in place of a policy."),
    hurts="Images whose brightness, shape or angle is the message; short runs.",
    cost=(
        "On the host: 50 microseconds for an image of 28 x 28. Where a core "
        "is free, data.prefetch does it beside the step."
    ),
    reference=(
        "Cubuk, Zoph, Shlens and Le, RandAugment: practical automated data augmentation with a "
        "reduced search space, 2020, arXiv:1909.13719"
    ),
    keys=("augmentation.rand_ops", "augmentation.rand_strength"),
    edit=set_keys({"augmentation.rand_ops": 2}),
    applies=of_images(host_alone=True),
    after=("own_loop",),
    clashes=HOST_ALONE,
    search={
        "augmentation.rand_ops": Choice((0, 1, 2, 3)),
        "augmentation.rand_strength": Choice((0.2, 0.5, 0.9)),
    },
)

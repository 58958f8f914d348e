"""Random mirroring."""

from __future__ import annotations

from slipstream.techniques._augmentation import of_images
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="flip",
    title="Random mirroring",
    summary="Mirrors each image left and right in half of the cases, anew in every epoch.",
    formula="x'[i, j] = x[i, width - 1 - j] with probability 1/2",
    helps="Photographs and clothes, whose mirror image is as likely.",
    hurts="Digits, letters and traffic signs, whose mirror image means something else.",
    cost="A copy of the pixels in each epoch, on the host or in the step.",
    reference=(
        "Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional "
        "neural networks, 2012, doi:10.1145/3065386"
    ),
    keys=("augmentation.flip",),
    edit=set_keys({"augmentation.flip": True}),
    applies=of_images(),
    after=("own_loop",),
    search={"augmentation.flip": Choice((False, True))},
)

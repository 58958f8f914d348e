"""Random turning upside down."""

from __future__ import annotations

from slipstream.techniques._augmentation import of_images
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="flip_vertical",
    title="Random turning upside down",
    summary=(
        "Turns each image upside down in half of the cases, anew in every epoch, whether it is "
        "mirrored or not."
    ),
    formula="x'[i, j] = x[height - 1 - i, j] with probability 1/2",
    helps="Images from above or through a microscope, which have no upper side.",
    hurts="Whatever stands on the ground: photographs, digits, clothes.",
    cost="A copy of the pixels in each epoch, on the host or in the step.",
    reference=(
        "Veeling et al., Rotation equivariant CNNs for digital pathology, 2018, arXiv:1806.03962"
    ),
    keys=("augmentation.flip_vertical",),
    edit=set_keys({"augmentation.flip_vertical": True}),
    applies=of_images(),
    after=("own_loop",),
    search={"augmentation.flip_vertical": Choice((False, True))},
)

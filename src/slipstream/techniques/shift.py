"""Random shifts (crops after padding)."""

from __future__ import annotations

from slipstream.techniques._augmentation import of_images
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="shift",
    title="Random shifts (crops after padding)",
    summary=(
        "Moves each image by up to a few pixels in both directions, anew in every epoch: the "
        "same as padding it with so many zeros and cutting out its size at random."
    ),
    formula="x'[i, j] = x[i + a, j + b],  a and b uniform in -shift..shift",
    helps="Images of things whose exact place means nothing, on nets that overfit.",
    hurts=("Images where the place is the message; short runs, which have no time to overfit."),
    cost="A copy of the pixels in each epoch, on the host or in the step.",
    reference=(
        "Simard, Steinkraus and Platt, Best practices for convolutional neural networks applied"
        " to visual document analysis, 2003, doi:10.1109/ICDAR.2003.1227801"
    ),
    keys=("augmentation.shift",),
    edit=set_keys({"augmentation.shift": 2}),
    applies=of_images(),
    after=("own_loop",),
    search={"augmentation.shift": Choice((0, 1, 2, 4))},
)

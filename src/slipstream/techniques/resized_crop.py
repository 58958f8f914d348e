"""Random resized crops."""

from __future__ import annotations

from slipstream.techniques._augmentation import of_one_size
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="resized_crop",
    title="Random resized crops",
    summary=(
        "Cuts a part of random size, place and proportions out of each image and blows it up to"
        " the image's size, anew in every epoch."
    ),
    formula=(
        "x' = resize(x[top : top + h, left : left + w]);  h * w / size uniform in area..1;  w /"
        " h between 3/4 and 4/3"
    ),
    helps="Photographs of things at any distance; long runs of large nets.",
    hurts="Small images, of which a part is not the whole; short runs.",
    cost="Interpolation between four pixels for each: the dearest of the moves.",
    reference="Szegedy et al., Going deeper with convolutions, 2015, arXiv:1409.4842",
    keys=("augmentation.resized_crop",),
    edit=set_keys({"augmentation.resized_crop": 0.35}),
    applies=of_one_size,
    after=("own_loop",),
    search={"augmentation.resized_crop": Choice((0.0, 0.08, 0.35, 0.7))},
)

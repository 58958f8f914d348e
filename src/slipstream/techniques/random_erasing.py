"""Random erasing."""

from __future__ import annotations

from slipstream.techniques._augmentation import of_one_size
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="random_erasing",
    title="Random erasing",
    summary=(
        "Covers a box of random size and place with a random colour, in a share of the images, "
        "anew in every epoch."
    ),
    formula=(
        "x'[box] = colour with probability erase;  area of the box uniform in 0.02..erase_area;"
        "  proportions 3/10 to 10/3"
    ),
    helps="Things that may be half hidden; nets that look at one detail alone.",
    hurts="Small images whose one detail is what tells them apart.",
    cost="Next to none: a comparison for each pixel.",
    reference="Zhong et al., Random erasing data augmentation, 2020, arXiv:1708.04896",
    keys=("augmentation.erase", "augmentation.erase_area"),
    edit=set_keys({"augmentation.erase": 0.25}),
    applies=of_one_size,
    after=("own_loop",),
    search={
        "augmentation.erase": Choice((0.0, 0.25, 0.5)),
        "augmentation.erase_area": Choice((0.1, 0.2, 0.33)),
    },
)

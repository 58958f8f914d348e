"""CutMix."""

from __future__ import annotations

from slipstream.techniques._augmentation import of_mixing
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="cutmix",
    title="CutMix",
    summary=(
        "Covers a box of each image with what another image of its update has there; labels are"
        " mixed by the areas, counted in pixels. Training metrics go by the label with the "
        "larger share."
    ),
    formula=(
        "x' = x_i outside of the box, x_j inside;  y' = s * y_i + (1 - s) * y_j;  1 - s = "
        "pixels of the box / pixels, about Beta(cutmix, cutmix)"
    ),
    helps=(
        "Photographs, on nets that overfit; where parts tell as much as wholes. With mixup, "
        "each example has either."
    ),
    hurts="Short runs, and small images whose middle is the message.",
    cost="A choice for each pixel: much on a net of microseconds, next to none on others.",
    reference=(
        "Yun et al., CutMix: regularization strategy to train strong classifiers with "
        "localizable features, 2019, arXiv:1905.04899"
    ),
    keys=("augmentation.cutmix",),
    edit=set_keys({"augmentation.cutmix": 1.0}),
    applies=of_mixing(images_alone=True),
    after=("own_loop",),
    search={"augmentation.cutmix": Choice((0.0, 0.5, 1.0))},
)

"""MixUp."""

from __future__ import annotations

from slipstream.techniques._augmentation import of_mixing
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="mixup",
    title="MixUp",
    summary=(
        "Averages each example with another one of its update, inputs and labels by the same "
        "random share. Training metrics go by the label with the larger share."
    ),
    formula=(
        "x' = s * x_i + (1 - s) * x_j;  y' = s * y_i + (1 - s) * y_j;  s from Beta(mixup, mixup)"
    ),
    helps="Classification that overfits or is too sure of itself; long runs.",
    hurts=("Short runs, which underfit anyhow; training accuracy no longer means what it did."),
    cost="A mean of two images: much on a net of microseconds, next to none on others.",
    reference=(
        "Zhang, Cisse, Dauphin and Lopez-Paz, mixup: beyond empirical risk minimization, 2018, "
        "arXiv:1710.09412"
    ),
    keys=("augmentation.mixup",),
    edit=set_keys({"augmentation.mixup": 0.2}),
    applies=of_mixing(images_alone=False),
    after=("own_loop",),
    search={"augmentation.mixup": Choice((0.0, 0.1, 0.2, 0.4, 1.0))},
)

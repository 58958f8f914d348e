"""Asymmetric squared error."""

from __future__ import annotations

from slipstream.techniques._base import Range, Technique
from slipstream.techniques._losses import LOSS_KEYS, choose_loss, for_kind, found_loss

TECHNIQUE = Technique(
    name="asymmetric_loss",
    title="Asymmetric squared error",
    summary=(
        "A prediction below its target weighs a number of times as much as one above it. The "
        "task's own loss still judges."
    ),
    formula="loss = (y - p)**2 * (asymmetry where p < y, else 1)",
    helps="Where too little costs more than too much, as in stock, staff or reserves.",
    hurts="The plain error: predictions are drawn above the mean.",
    cost="None to speak of: the loss is a small part of a step.",
    reference=(
        "Newey and Powell, Asymmetric least squares estimation and testing, 1987, "
        "doi:10.2307/1911031"
    ),
    keys=("loss.name", "loss.asymmetry"),
    edit=choose_loss("asymmetric_mse"),
    applies=for_kind("regression", "its targets are no numbers"),
    search={"loss.asymmetry": Range(0.25, 10.0, log=True)},
    one_of="loss",
    along=LOSS_KEYS,
    found=found_loss("asymmetric_mse"),
)

"""A loss by name."""

from __future__ import annotations

from slipstream.techniques._base import Technique
from slipstream.techniques._losses import LOSS_KEYS, choose_loss, for_kind, found_loss

TECHNIQUE = Technique(
    name="named_loss",
    title="Another loss by name",
    summary=(
        "Training minimises a loss of Keras that the plan names, for all outputs that it fits or "
        "output by output; the technique itself names the absolute error. The task's own loss "
        "still judges."
    ),
    formula="loss = |y - p|",
    helps="Absolute errors: targets with outliers, and targets that are judged by their median.",
    hurts="Absolute errors: small ones have the slope of large ones, which needs a decaying rate.",
    cost="None to speak of: the loss is a small part of a step.",
    reference=(
        "Koenker and Bassett, Regression quantiles, 1978, doi:10.2307/1913643; the Keras "
        "documentation, Losses"
    ),
    keys=("loss.name",),
    edit=choose_loss("mae"),
    applies=for_kind("regression", "which loss is meant must be named as loss.name"),
    one_of="loss",
    along=LOSS_KEYS,
    found=found_loss(),
)

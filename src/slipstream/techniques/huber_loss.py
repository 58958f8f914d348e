"""Huber loss."""

from __future__ import annotations

from slipstream.techniques._base import Range, Technique
from slipstream.techniques._losses import LOSS_KEYS, choose_loss, for_kind, found_loss

TECHNIQUE = Technique(
    name="huber_loss",
    title="Huber loss",
    summary=(
        "Errors above delta count by their size, not by their square. The task's own loss still "
        "judges."
    ),
    formula="loss = e**2 / 2 where |e| <= delta, else delta * |e| - delta**2 / 2",
    helps="Targets with outliers, and first steps with large errors.",
    hurts="Where the large errors are the ones that matter.",
    cost="None to speak of: the loss is a small part of a step.",
    reference="Huber, Robust estimation of a location parameter, 1964, doi:10.1214/aoms/1177703732",
    keys=("loss.name", "loss.delta"),
    edit=choose_loss("huber"),
    applies=for_kind("regression", "its targets are no numbers"),
    search={"loss.delta": Range(0.1, 10.0, log=True)},
    one_of="loss",
    along=LOSS_KEYS,
    found=found_loss("huber"),
)

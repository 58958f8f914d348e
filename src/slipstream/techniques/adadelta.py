"""Adadelta."""

from __future__ import annotations

from slipstream.techniques._base import (
    OPTIMIZER_KEYS,
    Choice,
    Range,
    Technique,
    always,
    choose_optimizer,
    found_optimizer,
)

TECHNIQUE = Technique(
    name="adadelta",
    title="Adadelta",
    summary=(
        "Divides each gradient by its recent size and multiplies it by the recent size of the "
        "steps, so that the rate has no unit and is near 1."
    ),
    formula=(
        "s = rho * s + (1 - rho) * g^2;  step = sqrt(d + epsilon) / sqrt(s + epsilon) * g;  "
        "d = rho * d + (1 - rho) * step^2;  w = w - rate * step"
    ),
    helps="Where nothing is known of a good rate.",
    hurts="Short runs: its first steps are tiny, as they grow from epsilon.",
    cost="Two more numbers for each weight, and an update that reads and writes them.",
    reference="Zeiler, ADADELTA: An adaptive learning rate method, 2012, arXiv:1212.5701",
    keys=("optimizer.name", "optimizer.rho", "schedule.peak"),
    edit=choose_optimizer("adadelta", 1.0, {"optimizer.rho": 0.95}),
    applies=always,
    search={
        "schedule.peak": Range(0.1, 30.0, log=True),
        "optimizer.rho": Choice((0.9, 0.95, 0.99)),
    },
    one_of="optimizer",
    along=OPTIMIZER_KEYS,
    found=found_optimizer("adadelta"),
)

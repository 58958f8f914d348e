"""Spatial dropout."""

from __future__ import annotations

from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.techniques._base import Choice, Technique, set_keys


def _applies(plan: Plan, task: TaskFacts) -> str | None:  # noqa: ARG001
    if not any("Conv" in name for name in task.layers):
        return "the model has no convolution"
    return None


TECHNIQUE = Technique(
    name="spatial_dropout",
    title="Spatial dropout",
    summary=(
        "After each convolution, with the normalization, activation and pooling that follow it, "
        "whole channels are set to zero while training. Dropout layers in these places become "
        "spatial; where there are none, Keras' SpatialDropout is put in."
    ),
    formula="x = x * keep / (1 - rate),  keep drawn for each channel of each example",
    helps=(
        "Convolutional nets that overfit: neighbouring places are alike, so that dropping single "
        "ones takes nothing away."
    ),
    hurts="Narrow nets, short runs, and beside BatchNormalization, whose statistics it disturbs.",
    cost="One product for each number that a convolution yields.",
    reference=(
        "Tompson et al., Efficient object localization using convolutional networks, 2015, "
        "arXiv:1411.4280"
    ),
    keys=("regularization.spatial_dropout",),
    edit=set_keys({"regularization.spatial_dropout": 0.1}),
    applies=_applies,
    search={"regularization.spatial_dropout": Choice((0.0, 0.05, 0.1, 0.2))},
)

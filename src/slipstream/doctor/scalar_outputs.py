"""Refuses metrics that cannot read an output of one bare number an example."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.task import OutputFacts

NEEDS_AN_AXIS = frozenset(
    {
        "Accuracy",
        "CategoricalAccuracy",
        "F1Score",
        "FBetaScore",
        "SparseCategoricalAccuracy",
        "SparseTopKCategoricalAccuracy",
        "TopKCategoricalAccuracy",
    }
)
# This one borrows the axis of the targets where they have one.
NEEDS_ANY_AXIS = frozenset({"R2Score"})


def check(case: Case) -> Iterator[Finding]:
    """Refuse outputs of shape (N,) together with metrics that look along a last axis.

    "accuracy" takes the batch for the axis of classes and logs 0.0 on all backends, silently; F1
    and R2 raise. With an output of shape (N, 1) all of them are right.
    """
    for part, output in targets_of(case):
        if part.split != "training" or output.shape != ():
            continue
        blind = NEEDS_AN_AXIS if part.shape else NEEDS_AN_AXIS | NEEDS_ANY_AXIS
        metric = _blind_metric(case, output, blind)
        if metric:
            yield Finding(
                "scalar_outputs",
                "error",
                f"an output of shape (N, 1) for the metric {metric}",
                f"'{output.name}' of shape (N,)",
                "End the model with Dense(1) and leave the Flatten or Reshape after it out.",
                about="task",
            )


def _blind_metric(case: Case, output: OutputFacts, blind: frozenset[str]) -> str:
    if output.metrics:
        return next((name for name in output.metrics if name in blind), "")
    names = {"accuracy", "acc", f"{output.name}_accuracy", f"{output.name}_acc"}
    return next((name for name in case.model.logged if name in names), "")

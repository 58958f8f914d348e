"""Refuses a target that the monitor cannot come to."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY, ONE_HOT, SPARSE, VALUES

INFINITY = float("inf")
# Between 0 and 1, at or above 0, at or below 1: by the classes of metrics.
SHARES = frozenset(
    {
        "AUC",
        "Accuracy",
        "BinaryAccuracy",
        "BinaryIoU",
        "CategoricalAccuracy",
        "ExpectedCalibrationError",
        "F1",
        "F1Score",
        "FBetaScore",
        "IoU",
        "MeanIoU",
        "OneHotIoU",
        "OneHotMeanIoU",
        "Precision",
        "PrecisionAtRecall",
        "Recall",
        "RecallAtPrecision",
        "SensitivityAtSpecificity",
        "SparseCategoricalAccuracy",
        "SparseTopKCategoricalAccuracy",
        "SpecificityAtSensitivity",
        "TopKCategoricalAccuracy",
    }
)
ERRORS = frozenset(
    {
        "BinaryCrossentropy",
        "CategoricalCrossentropy",
        "CategoricalHinge",
        "Crossentropy",
        "Hinge",
        "LogCoshError",
        "MeanAbsoluteError",
        "MeanAbsolutePercentageError",
        "MeanSquaredError",
        "MeanSquaredLogarithmicError",
        "RootMeanSquaredError",
        "SparseCategoricalCrossentropy",
        "SquaredHinge",
    }
)
LOSSES = SPARSE | ONE_HOT | BINARY | VALUES | {"Hinge", "SquaredHinge"}


def check(case: Case) -> Iterator[Finding]:
    """Refuse a target outside the values that its metric can have.

    A race to 92 where the accuracy ends at 1 runs to its last epoch and is never won, on any
    backend; one to less than nothing is won before it begins.
    """
    name = case.monitor.removeprefix("val_")
    low, high = _range(case, name)
    if case.target is None or low <= case.target <= high:
        return
    reach = f"from {low:g} to {high:g}" if high < INFINITY else f"of {low:g} or more"
    if low == -INFINITY:
        reach = f"of {high:g} or less"
    mend = f"Give one that {case.monitor} can have."
    if (low, high) == (0, 1) and 1 < case.target <= 100:
        mend = f"Give a share, not percent: target={case.target / 100:g}."
    yield Finding(
        "target_value",
        "error",
        f"a target {reach} for {case.monitor}",
        f"{case.target:g}",
        mend,
        about="task",
    )


def _range(case: Case, name: str) -> tuple[float, float]:
    """Return between which values the monitor lies, as far as that is known."""
    outputs = case.model.outputs
    if name == "loss":
        # What layers of the user's own add to the loss may be negative.
        known = "custom" not in case.model.layers and all(one.loss in LOSSES for one in outputs)
        return (0, INFINITY) if known else (-INFINITY, INFINITY)
    for output in outputs:
        prefix = f"{output.name}_" if len(outputs) > 1 else ""
        own = [logged for logged in case.model.logged if logged.startswith(prefix)]
        own = [logged for logged in own if logged not in ("loss", f"{output.name}_loss")]
        # In the order of the metrics; where names of outputs begin alike, nobody can tell.
        if name in own and len(own) == len(output.metrics):
            return _of_metric(output.metrics[own.index(name)])
    return -INFINITY, INFINITY


def _of_metric(metric: str) -> tuple[float, float]:
    if metric in SHARES:
        return 0, 1
    if metric in ERRORS:
        return 0, INFINITY
    return -INFINITY, 1 if metric == "R2Score" else INFINITY

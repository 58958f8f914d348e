"""Refuses metrics that cannot compare an output with the targets as they are."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import fits, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import ELEMENTWISE, SPARSE, holds_labels, num_classes

# These compare every number of an output with a number of the targets.
NUMBER_BY_NUMBER = frozenset(
    {
        "AUC",
        "BinaryAccuracy",
        "BinaryCrossentropy",
        "BinaryIoU",
        "CategoricalAccuracy",
        "CategoricalCrossentropy",
        "CategoricalHinge",
        "CosineSimilarity",
        "F1Score",
        "FBetaScore",
        "FalseNegatives",
        "FalsePositives",
        "Hinge",
        "KLDivergence",
        "LogCoshError",
        "MeanAbsoluteError",
        "MeanAbsolutePercentageError",
        "MeanSquaredError",
        "MeanSquaredLogarithmicError",
        "OneHotIoU",
        "OneHotMeanIoU",
        "Poisson",
        "Precision",
        "PrecisionAtRecall",
        "R2Score",
        "Recall",
        "RecallAtPrecision",
        "RootMeanSquaredError",
        "SensitivityAtSpecificity",
        "SpecificityAtSensitivity",
        "SquaredHinge",
        "TopKCategoricalAccuracy",
        "TrueNegatives",
        "TruePositives",
    }
)
# These compare a vector of classes with one label.
WITH_LABELS = frozenset(
    {
        "SparseCategoricalAccuracy",
        "SparseCategoricalCrossentropy",
        "SparseTopKCategoricalAccuracy",
    }
)


def check(case: Case) -> Iterator[Finding]:
    """Refuse labels with metrics that take one-hot targets, and the reverse.

    Most raise in the first step, with the backend's words for shapes; "categorical_accuracy" and
    others that find sizes which happen to agree compute nonsense, silently.
    """
    for part, output in targets_of(case):
        classes = num_classes(output)
        if part.split != "training" or not classes or classes < 2:
            continue
        one_hot, labels = fits(part.shape, output.shape), holds_labels(part.shape, output)
        if one_hot == labels or output.loss in (ELEMENTWISE if labels else SPARSE):
            # Either form would do, or the loss takes another one, which is said already.
            continue
        blind = NUMBER_BY_NUMBER if labels else WITH_LABELS
        metric = next((name for name in output.metrics if name in blind), "")
        if metric:
            yield Finding(
                "metric_targets",
                "error",
                _wanted(metric, classes, labels),
                f"{'labels' if labels else 'one-hot targets'} in {part.place}",
                f"Use 'accuracy'{_instead(classes, labels)}.",
                about="task",
            )


def _wanted(metric: str, classes: int, labels: bool) -> str:
    if labels:
        return f"targets with {classes} numbers an example, for the metric {metric}"
    return f"one label an example, for the metric {metric}"


def _instead(classes: int, labels: bool) -> str:
    """Say what else would do: for two classes one unit has all metrics of a yes or no."""
    if not labels:
        return " or the metric without 'sparse'"
    if classes == 2:
        return ", or end the model with Dense(1, activation='sigmoid') and 'binary_crossentropy'"
    return (
        f" or 'f1_macro', or y = numpy.eye({classes})[y] with the loss 'categorical_crossentropy'"
    )

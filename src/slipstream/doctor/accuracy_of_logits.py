"""Warns of an accuracy that compares a single logit with 0.5."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY, num_classes

BY_NAME = (
    "Name it {'class_name': 'BinaryAccuracy', 'config': {'name': 'accuracy', 'threshold': 0.0}}"
)
AS_OBJECT = "Give it threshold=0.0"


def check(case: Case) -> Iterator[Finding]:
    """Warn of "accuracy" by its name, or of BinaryAccuracy(), where units put out logits.

    Keras makes a BinaryAccuracy of the name, with a threshold of 0.5: a probability of 0.62.
    """
    for output in case.model.outputs:
        if output.loss not in BINARY or output.from_logits is not True:
            continue
        # Of several units the name is another accuracy, without a threshold.
        by_name = num_classes(output) == 1 and "Accuracy" in output.metrics
        if by_name or "BinaryAccuracy" in output.share_metrics:
            metric, mend = ("'accuracy'", BY_NAME) if by_name else ("BinaryAccuracy", AS_OBJECT)
            yield Finding(
                "accuracy_of_logits",
                "warning",
                "an accuracy with the threshold of logits, 0",
                f"{metric} for '{output.name}', which Keras compares with 0.5",
                f"{mend}, or end the model with a sigmoid and set the loss' from_logits=False.",
                about="task",
            )

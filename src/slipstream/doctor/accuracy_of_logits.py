"""Warns of an accuracy that compares a single logit with 0.5."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY, num_classes


def check(case: Case) -> Iterator[Finding]:
    """Warn of "accuracy" by its name, where one unit puts out logits.

    Keras makes a BinaryAccuracy of it, with a threshold of 0.5: a probability of 0.62.
    """
    for output in case.model.outputs:
        if (
            num_classes(output) == 1
            and output.loss in BINARY
            and output.from_logits is True
            and "Accuracy" in output.metrics
        ):
            yield Finding(
                "accuracy_of_logits",
                "warning",
                "an accuracy with the threshold of logits, 0",
                f"'accuracy' for '{output.name}', which Keras compares with 0.5",
                "Name it {'class_name': 'BinaryAccuracy', 'config': {'name': 'accuracy', "
                "'threshold': 0.0}}, or end the model with a sigmoid.",
                about="task",
            )

"""Warns of an accuracy that takes logits for probabilities."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY


def check(case: Case) -> Iterator[Finding]:
    """Warn of the metric "accuracy" beside a binary cross-entropy of logits.

    Keras makes a BinaryAccuracy of it, which calls 1 what is above 0.5: of a logit that is a
    probability of 0.62. All backends train rightly and log an accuracy that is off, silently.
    """
    for output in case.model.outputs:
        if output.loss not in BINARY or output.from_logits is not True:
            continue
        if "Accuracy" in output.metrics:
            yield Finding(
                "logit_metrics",
                "warning",
                f"a metric of logits for '{output.name}', as its loss has from_logits=True",
                "'accuracy', which compares them with 0.5 as if they were probabilities",
                "Use keras.metrics.BinaryAccuracy(threshold=0.0), or end the model in sigmoid with"
                " from_logits=False.",
                about="task",
            )

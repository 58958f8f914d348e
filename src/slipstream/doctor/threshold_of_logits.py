"""Refuses metrics that hold logits against a share, as if they were probabilities."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY

ONE_THRESHOLD = frozenset(
    {
        "FalseNegatives",
        "FalsePositives",
        "Precision",
        "Recall",
        "TrueNegatives",
        "TruePositives",
    }
)


def check(case: Case) -> Iterator[Finding]:
    """Refuse thresholds of probabilities where the loss says that outputs are logits.

    Keras computes them on all backends, silently: 0.5 as a logit is a probability of 0.62. Where
    a name says which metric, and the loss is binary, the threshold of logits is taken: 0.
    """
    for output in case.model.outputs:
        for metric in output.share_metrics:
            if metric == "BinaryAccuracy":
                # Told with "accuracy", which is one.
                continue
            binary = output.loss in BINARY
            layer = "a sigmoid" if binary else "a softmax"
            named = ""
            if metric == "AUC":
                named = ", or set the metric's from_logits=True"
            elif binary and metric in ONE_THRESHOLD:
                named = ", or give the metric thresholds=0.0"
            yield Finding(
                "threshold_of_logits",
                "error",
                f"probabilities for the metric {metric} of '{output.name}'",
                f"logits, by the from_logits of its loss {output.loss}",
                f"End the model with {layer} and set the loss' from_logits=False{named}.",
                about="task",
            )

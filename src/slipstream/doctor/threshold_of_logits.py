"""Refuses metrics that hold logits against a share, as if they were probabilities."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY


def check(case: Case) -> Iterator[Finding]:
    """Refuse thresholds of probabilities where the loss says that outputs are logits.

    Keras computes them on all backends, silently: 0.5 as a logit is a probability of 0.62. Where
    a name says which metric, and the loss is binary, the threshold of logits is taken: 0.
    """
    for output in case.model.outputs:
        for metric in output.share_metrics:
            binary = output.loss in BINARY
            layer = "a sigmoid" if binary else "a softmax"
            named = f" name it '{metric}' or give it thresholds=0.0," if binary else ""
            if metric == "AUC":
                named = " set its from_logits=True,"
            yield Finding(
                "threshold_of_logits",
                "error",
                f"probabilities for the metric {metric} of '{output.name}'",
                f"logits, by the from_logits of its loss {output.loss}",
                f"End the model with {layer} and set from_logits=False{',' if named else ''}"
                f"{' or' if named else ''}{named.rstrip(',')}.",
                about="task",
            )

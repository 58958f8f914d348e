"""Refuses an accuracy of more answers than there are classes."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import num_classes


def check(case: Case) -> Iterator[Finding]:
    """Refuse a top-k accuracy of fewer than k classes.

    JAX and torch raise in the first step, with their words for sizes; TensorFlow logs 1.0,
    silently. Keras' k is 5 unless it is given.
    """
    for output in case.model.outputs:
        classes = num_classes(output)
        if output.top_k is not None and classes and output.top_k > classes:
            yield Finding(
                "top_k",
                "error",
                f"at least {output.top_k} classes for the top-{output.top_k} accuracy of"
                f" '{output.name}'",
                f"{classes} of them",
                "Leave the metric out, or give it a smaller k, like k=2: the right class is always"
                " among as many answers as there are classes.",
                about="task",
            )

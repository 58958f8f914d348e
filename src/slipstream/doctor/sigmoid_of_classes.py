"""Warns of a sigmoid at the end of a model that chooses one of several classes."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import ONE_HOT, SPARSE, num_classes

SIGMOIDS = frozenset({"hard_sigmoid", "sigmoid"})


def check(case: Case) -> Iterator[Finding]:
    """Warn of a sigmoid under a cross-entropy that compares several classes.

    Sigmoids answer for each class by itself, and do not sum to 1. JAX and torch divide them by
    their sum, silently, and train more slowly; TensorFlow looks through them and takes a softmax of
    what comes before, so that the three train on different losses. What the model predicts are no
    probabilities on any of them.
    """
    for output in case.model.outputs:
        classes = num_classes(output) or 0
        is_choice = output.loss in SPARSE | ONE_HOT and "Crossentropy" in output.loss
        # With from_logits=True it is wrong for that reason, which is said already.
        if is_choice and classes > 1 and output.activation in SIGMOIDS and not output.from_logits:
            yield Finding(
                "sigmoid_of_classes",
                "warning",
                f"softmax over the {classes} classes of '{output.name}', for the loss"
                f" {output.loss}",
                f"{output.activation}, which answers for each class by itself",
                "End the model with activation='softmax'; where an example may be of several"
                " classes, use the loss 'binary_crossentropy'.",
                about="task",
            )

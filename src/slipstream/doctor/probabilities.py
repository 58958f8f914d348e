"""Refuses probabilities where the loss expects logits, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import BINARY
from slipstream.task import OutputFacts

PROBABILITIES = frozenset({"softmax", "sigmoid", "hard_sigmoid"})
# Values of these leave [0, 1], which a loss of probabilities would clip.
LOGITS = frozenset(
    {
        "elu",
        "gelu",
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "log_softmax",
        "relu",
        "selu",
        "silu",
        "tanh",
    }
)


def check(case: Case) -> Iterator[Finding]:
    """Refuse a cross-entropy whose from_logits contradicts the last activation.

    Softmax and from_logits=True: JAX and torch apply a second softmax, silently; TensorFlow
    warns and looks through the first one, so that the three train on different losses. Logits and
    from_logits=False: all backends clip or rescale them to probabilities, silently, each its own
    way.
    """
    for output in case.model.outputs:
        if output.from_logits is True and output.activation in PROBABILITIES:
            yield _contradiction(
                output,
                "logits (no activation at the end)",
                f"'{output.name}' ends in {output.activation}",
                "Set from_logits=False in the loss, or take the last activation out.",
            )
        elif output.from_logits is False and output.activation in LOGITS:
            wanted = "sigmoid" if output.loss in BINARY else "softmax"
            yield _contradiction(
                output,
                f"probabilities ({wanted} at the end)",
                f"'{output.name}' ends in {output.activation}",
                f"Set from_logits=True in the loss, or end the model with activation='{wanted}'.",
            )


def _contradiction(output: OutputFacts, wanted: str, came: str, mend: str) -> Finding:
    setting = f"{output.loss}(from_logits={output.from_logits})"
    return Finding("probabilities", "error", f"{wanted} for {setting}", came, mend, about="task")

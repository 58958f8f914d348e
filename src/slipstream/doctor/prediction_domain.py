"""Refuses outputs that a loss cannot take, whatever the targets are."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._case import Case, Finding

# These leave an output any sign.
SIGNED = frozenset({"linear", "log_sigmoid", "log_softmax", "tanh"})


def check(case: Case) -> Iterator[Finding]:
    """Refuse Poisson and Kullback-Leibler losses of outputs that may be negative.

    Poisson's loss takes the logarithm of the output itself: the first one below 0 makes it NaN, and
    all weights with it. Keras' Kullback-Leibler loss takes probabilities, not their logarithms, and
    cuts everything else off, so that nothing is learnt from it. All backends do so silently.
    """
    for output in case.model.outputs:
        if output.activation not in SIGNED or output.loss not in ("Poisson", "KLDivergence"):
            continue
        is_count = output.loss == "Poisson"
        wanted = "rates above 0" if is_count else "probabilities (softmax at the end)"
        ending = "softplus' or 'exponential" if is_count else "softmax"
        yield Finding(
            "prediction_domain",
            "error",
            f"{wanted} for the loss {output.loss}",
            f"'{output.name}', which ends in {output.activation}",
            f"End the model with activation='{ending}'.",
            about="task",
        )

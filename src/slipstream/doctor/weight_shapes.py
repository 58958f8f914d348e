"""Refuses sample weights that are laid along the wrong axis."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.doctor._arrays import Shape, fits, in_words, weights_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import ELEMENTWISE, SPARSE

# These leave one loss for each example of an output (N,).
KEEPS_EXAMPLES = frozenset({"AsymmetricMeanSquaredError"})


def check(case: Case) -> Iterator[Finding]:
    """Refuse weights that do not fit the losses they weigh.

    A loss over an output (N, T, C) is (N, T). Keras multiplies it with weights (N,) by the rules
    of broadcasting: it raises, or, in a batch of T examples, silently gives the weight of example
    t to step t of all of them, on all backends. (N, 1) and (N, T) are right. Of an output (N,)
    Keras averages the losses over the batch first, so that no weight reaches its example.
    """
    for part, output in weights_of(case):
        if output.loss not in SPARSE | ELEMENTWISE:
            continue
        if output.shape == () and output.loss not in KEEPS_EXAMPLES:
            yield Finding(
                "weight_shapes",
                "error",
                f"an output of shape (N, 1) for the loss {output.loss} with sample weights",
                f"'{output.name}' of shape (N,), whose losses are averaged before they are weighed",
                "End the model with Dense(1) and leave the Flatten or Reshape after it out.",
                about="task",
            )
            continue
        losses = output.shape[:-1]
        if _weighs(part.shape, losses):
            continue
        wanted = in_words((1,) if losses else ())
        yield Finding(
            "weight_shapes",
            "error",
            f"weights of shape {wanted}"
            + (f" or {in_words(losses)}" if losses else "")
            + f" for '{output.name}'",
            f"{in_words(part.shape)} in {part.place}",
            "Give one weight an example: sample_weight.reshape(-1, 1)."
            if losses
            else "Give one weight an example, as an array of shape (N,).",
        )


def _weighs(shape: Shape, losses: Shape) -> bool:
    """Whether weights of this shape broadcast along the axes of the losses, not across them."""
    if fits(shape, losses) or fits(shape, (*losses, 1)):
        return True
    return len(shape) == len(losses) and all(
        weight in (1, loss) or loss is None for weight, loss in zip(shape, losses, strict=True)
    )

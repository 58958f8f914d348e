"""What happens to examples in the step, before the model sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from slipstream.data.splits import Arrays, leaves, map_arrays

# From what a block holds of some examples to the examples: themselves, or those it points at.
Gather = Callable[[Arrays], Arrays]


class Preparation(Protocol):
    """Changes the examples of an update, by `keras.ops`.

    A block whose examples are prepared is a dict: "batch" has what it would be otherwise, and
    the rest is what the preparation needs, example by example.
    """

    @property
    def mixes(self) -> bool:
        """Whether labels are mixed: metrics are judged by `judged` then."""
        ...

    def batches(self, update: Arrays, gather: Gather) -> list[Arrays]:
        """Return inputs, labels and weights of each micro-batch of an update.

        Args:
            update: Arrays of shape (micro-batches, examples, ...).
            gather: From what a block holds of some examples to the examples.
        """
        ...

    def judged(self, y: Arrays) -> Arrays:
        """Return the labels that metrics are judged by."""
        ...


def batches_of(update: Arrays, gather: Gather, preparation: Preparation | None) -> list[Arrays]:
    """Return the micro-batches of an update of arrays of shape (micro-batches, examples, ...)."""
    if preparation is not None:
        return preparation.batches(update, gather)
    return [
        gather(map_arrays(lambda array, m=micro: array[m], update))  # type: ignore[misc]
        for micro in range(next(leaves(update)).shape[0])
    ]


def prepared(batch: Arrays, preparation: Preparation | None) -> Arrays:
    """Return a batch that was left over at the end of an epoch, prepared."""
    if preparation is None:
        return batch
    alone = map_arrays(lambda array: array[None], batch)
    return preparation.batches(alone, lambda examples: examples)[0]


def judged(y: Any, preparation: Preparation | None) -> Any:
    """Return the labels that metrics are judged by."""
    return preparation.judged(y) if preparation is not None and preparation.mixes else y

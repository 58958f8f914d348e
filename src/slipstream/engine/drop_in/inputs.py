"""What the loop asks of its training data, and which data are read how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from slipstream.backends import Program
from slipstream.data.splits import Arrays, leaves
from slipstream.engine.drop_in.report import NotAcceleratedError

# The most updates that go to the backend in one call: a call costs tens of microseconds, so that
# more would gain nothing, while a callback, a progress bar or Ctrl-C would wait longer.
MOST_UPDATES = 32
# The most bytes of one block that is put together on the host.
MOST_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Portion:
    """Updates that go to the backend in one call.

    Args:
        first: The number of the first of them in the epoch, from 0.
        count: How many they are.
        arrays: A block of shape (updates, 1, examples, ...) of which the first `count` are meant,
            or one batch of another size.
        is_block: Which of the two.
    """

    first: int
    count: int
    arrays: Arrays
    is_block: bool

    @property
    def num_examples(self) -> int:
        """How many examples its updates see."""
        shape = next(leaves(self.arrays)).shape
        return self.count * int(shape[2]) if self.is_block else int(shape[0])


class Source(Protocol):
    """Training data as the loop reads them: epochs of portions."""

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch, as far as it is known."""
        ...

    @property
    def updates_per_call(self) -> int:
        """How many updates a portion has, at most."""
        ...

    def build_state(self, model: Any) -> None:
        """Create the model's variables that do not exist yet, as Keras does before a fit."""
        ...

    def specs(self) -> Arrays:
        """Return a batch as `KerasTensor`, in the form that goes to the model's train_step."""
        ...

    def open(self, program: Program, most: int) -> None:
        """Get ready for a program, with no more than so many updates in one call."""
        ...

    def begin_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        ...

    def take(self, at_most: int) -> Portion | None:
        """Return the next updates of the epoch, no more than asked for; None at its end."""
        ...


def balanced(num_updates: int, most: int) -> int:
    """Return the size of blocks that divide so many updates evenly.

    Example:
        >>> balanced(33, 32), balanced(7, 32), balanced(0, 32)
        (17, 7, 1)
    """
    num_blocks = max(1, -(-num_updates // max(1, most)))
    return max(1, -(-num_updates // num_blocks))


def num_bytes(arrays: Arrays) -> int:
    """Return the size of all arrays in the nest."""
    return sum(int(np.prod(leaf.shape)) * _item_bytes(leaf) for leaf in leaves(arrays))


def check_dense(arrays: Arrays) -> None:
    """Refuse everything but dense arrays of numbers.

    Raises:
        NotAcceleratedError: There are sparse or ragged tensors, or strings and other objects.
    """
    check_not_sparse(arrays)
    for leaf in leaves(arrays):
        kind = _strange_kind(leaf)
        if kind is not None:
            raise NotAcceleratedError(f"the data hold {kind}")


def check_not_sparse(arrays: Arrays) -> None:
    """Refuse what would only become dense arrays by being filled up.

    Raises:
        NotAcceleratedError: There are sparse or ragged tensors.
    """
    for leaf in leaves(arrays):
        name, module = type(leaf).__name__, type(leaf).__module__
        if "Sparse" in name or "sparse" in module or getattr(leaf, "is_sparse", False):
            raise NotAcceleratedError("the data hold sparse tensors")
        if "Ragged" in name or getattr(leaf, "is_nested", False):
            raise NotAcceleratedError("the data hold ragged tensors")


def _strange_kind(leaf: Any) -> str | None:
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        return f"a {type(leaf).__name__} where an array is expected"
    if len(leaf.shape) == 0:
        return "a single number where an array is expected"
    text = str(leaf.dtype)
    if any(word in text for word in ("object", "str", "<U", "|S", "datetime", "variant")):
        return f"values of type {text}"
    return None


def _item_bytes(leaf: Any) -> int:
    size = getattr(leaf.dtype, "itemsize", None) or getattr(leaf.dtype, "size", None)
    return int(size or 4)

"""What the engine asks of a backend: the one interface behind which a framework hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slipstream.data.splits import Arrays, Split

State = dict[str, NDArray[Any]]


class Program(Protocol):
    """A compiled Keras model that can be stepped.

    A *block* is a nest of arrays of shape (updates, micro-batches, examples, ...): several
    optimizer updates that go to the backend in one call. Where the training set rests on the
    device, the block is one array of example indices of shape (updates, micro-batches, examples).
    """

    def place(self, split: Split | None) -> None:
        """Keep a training set on the device; blocks are indices from now on.

        None lets go of it; blocks are the examples themselves again.
        """
        ...

    def train(self, block: Arrays, rates: NDArray[np.float32] | None, count: int) -> None:
        """Make the first `count` updates of a block, one at each learning rate.

        The rest of the block is padding: it spares the backend a second compilation. Without
        rates the optimizer keeps its own, be it a number or a schedule.
        """
        ...

    def train_ragged(self, batches: Sequence[Arrays], rate: float | None) -> None:
        """Make one update from batches of unequal sizes, weighted by their number of examples."""
        ...

    def evaluate(self, batches: Sequence[Arrays]) -> dict[str, float]:
        """Return the loss and all metrics over all examples of the batches, exactly."""
        ...

    def peek_metrics(self) -> dict[str, float]:
        """Return the training loss and metrics since the last reset."""
        ...

    def read_metrics(self) -> dict[str, float]:
        """Return the training loss and metrics since the last reset, and reset them."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has done all it was given, and hand its state to Keras.

        From a call of `train` until then, the model's variables are not to be read.
        """
        ...

    def resume(self) -> None:
        """Take the state back from Keras' variables, after somebody has changed them."""
        ...


def scalars(values: Mapping[str, Any]) -> dict[str, float]:
    """Return metrics as plain numbers; one with a value for each class becomes several.

    Example:
        >>> scalars({"loss": np.float32(0.5), "f1_score": np.array([1.0, 0.25])})
        {'loss': 0.5, 'f1_score_0': 1.0, 'f1_score_1': 0.25}
    """
    plain: dict[str, float] = {}
    for name, value in values.items():
        if len(getattr(value, "shape", ())) == 0:
            plain[name] = float(value)
        else:
            plain |= {f"{name}_{i}": float(part) for i, part in enumerate(np.ravel(value))}
    return plain


def state_of(model: Any) -> State:
    """Return a copy of every variable of a compiled, built model, optimizer included."""
    return {name: np.array(variable) for name, variable in _variables(model).items()}


def restore_state(model: Any, state: State) -> None:
    """Give every variable of the model the value that `state_of` returned."""
    for name, variable in _variables(model).items():
        variable.assign(state[name])


def _variables(model: Any) -> dict[str, Any]:
    # By position, which is the same for the same model and plan. Names are not: Keras numbers
    # layers through all models of a process.
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {
        f"{group}/{position}": variable
        for group, variables in groups.items()
        for position, variable in enumerate(variables)
    }

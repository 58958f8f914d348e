"""What the engine asks of a backend: the one interface behind which a framework hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slipstream.data.splits import Arrays, Split


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

    def step_logs(self) -> dict[str, float]:
        """Return what the last update returned, if it was made alone, else `peek_metrics`.

        Keras logs it after each batch. Where the update has computed it anyhow, it costs less than
        a look at the metrics.
        """
        ...

    def read_metrics(self) -> dict[str, float]:
        """Return the training loss and metrics since the last reset, and reset them."""
        ...

    def read_losses(self) -> NDArray[np.float64]:
        """Return the loss of each update since the last call, shape (updates, 2).

        The first column is the sum of the losses of an update's examples, the second the number
        of its examples; both are 0 where nothing was measured. Without
        `StepSettings.tells_losses` there are none.
        """
        ...

    def is_idle(self) -> bool:
        """Whether the device has done all it was given, as far as that can be told at once."""
        ...

    def settle(self) -> None:
        """Wait until the device has done all it was given; its state stays where it is."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has done all it was given, and hand its state to Keras.

        From a call of `train` until then, the model's variables are not to be read.
        """
        ...

    def resume(self) -> None:
        """Take the state back from Keras' variables, after somebody has changed them.

        That includes the metrics: who only looked at the model need not call it.
        """
        ...


def step_values(logs: Any) -> dict[str, Any] | None:
    """Return what a train_step returned, where that is numbers by name; else None.

    Example:
        >>> step_values({"loss": np.float32(0.5)}), step_values({"note": "none"})
        ({'loss': np.float32(0.5)}, None)
    """
    is_logs = isinstance(logs, dict) and all(
        isinstance(value, int | float) or hasattr(value, "dtype") for value in logs.values()
    )
    return logs if is_logs else None


def loss_rows(told: Sequence[Any]) -> NDArray[np.float64]:
    """Return what each update adds to the loss tracker, given its state around updates.

    Args:
        told: For each call its states, shape (updates + 1, 2): before the first update and after
            each; sums of losses and numbers of examples.

    Example:
        >>> loss_rows([np.array([[0.0, 0.0], [8.0, 4.0], [9.0, 8.0]])]).tolist()
        [[8.0, 4.0], [1.0, 4.0]]
    """
    with np.errstate(invalid="ignore"):
        parts = [np.diff(np.asarray(states, np.float64), axis=0) for states in told]
    return np.concatenate(parts) if parts else np.zeros((0, 2))


def loss_tracker(model: Any) -> tuple[Any, Any] | None:
    """Return the variables of Keras' loss tracker: sum and number; None where there is none."""
    tracker = getattr(model, "_loss_tracker", None)
    total, count = getattr(tracker, "total", None), getattr(tracker, "count", None)
    return None if total is None or count is None else (total, count)


def scalars(values: Mapping[str, Any]) -> dict[str, float]:
    """Return metrics as plain numbers; one with a value for each class becomes several.

    Example:
        >>> scalars({"loss": np.float32(0.5), "f1_score": np.array([1.0, 0.25])})
        {'loss': 0.5, 'f1_score_0': 1.0, 'f1_score_1': 0.25}
        >>> scalars({"confusion": np.array([[5, 1]])})
        {'confusion_0_0': 5.0, 'confusion_0_1': 1.0}
    """
    plain: dict[str, float] = {}
    for name, value in values.items():
        if len(getattr(value, "shape", ())) == 0:
            plain[name] = float(value)
        else:
            for place, part in np.ndenumerate(np.asarray(value)):
                plain["_".join([name, *map(str, place)])] = float(part)
    return plain

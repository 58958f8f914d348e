"""Going on within Keras' own fit: its data are gone through again, up to where training stood."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.backends import TrainingState, restore_state
from slipstream.backends.seeding import random_sources, restore_random_sources

Sources = Mapping[str, NDArray[Any]]


@final
class Replay:
    """Lets a fit begin anew and leave out the updates that an earlier sitting made.

    Keras' pipelines keep no state that could be put back. On JAX and PyTorch they draw an epoch's
    order from the process's random sources, as these are when the epoch begins: so the fit begins
    with that epoch. TensorFlow's pipeline draws from a source of its own, which cannot be read nor
    set: so it is asked for all that it was asked for before. Nothing is computed until the first
    update that is to be made; the state of the training is put in there.

    Args:
        model: The compiled model.
        state: What the training goes on with.
        update: Updates made before.
        per_epoch: Updates in an epoch.
        has_own_order: Whether the data come in an order of ours, that of files: nothing is asked
            for again then but what the epoch had of them.

    Attributes:
        sources: The random sources as they were when the epoch began.
    """

    def __init__(
        self, model: Any, state: TrainingState, update: int, per_epoch: int, has_own_order: bool
    ) -> None:
        self._model = model
        self._state = state
        self._epoch, self._within = divmod(update, per_epoch)
        hidden = keras.backend.backend() == "tensorflow" and not has_own_order
        self.first_epoch = 0 if hidden else self._epoch
        together = int(model.steps_per_execution)
        again = self._epoch - self.first_epoch
        self._calls = again * math.ceil(per_epoch / together) + math.ceil(self._within / together)
        self._train: Callable[..., Any] | None = None
        self.sources: Sources = {}
        self.is_over = False

    def begin(self) -> None:
        """Put itself in the place of what makes the model's updates; fit leaves that alone."""
        self._model.make_train_function(force=True)
        self._train = self._model.train_function
        on_jax = keras.backend.backend() == "jax"
        self._model.train_function = self._on_jax if on_jax else self._elsewhere

    def begin_epoch(self, epoch: int) -> None:
        """Note that an epoch begins, before its order is drawn."""
        if epoch == self._epoch:
            restore_random_sources(self.sources)

    def end(self) -> None:
        """Leave the model with the function and the state that it goes on with."""
        if self._train is not None:
            self._model.train_function = self._train
        self._take_state()

    def validation_freq(self, epochs: int) -> list[int]:
        """Return the epochs, from 1, after which fit is to evaluate: those not done yet."""
        return list(range(self._epoch + 1, epochs + 1))

    def _take_state(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        drawn = random_sources()
        restore_state(self._model, self._state)
        if self._within == 0 and self._train is not None:
            # The state is of the epoch's very beginning; its order is drawn since then.
            restore_random_sources(drawn)

    def _elsewhere(self, data: Any) -> Any:
        assert self._train is not None
        if self._calls > 0:
            self._leave_out(data)
            return {}
        self._take_state()
        return self._train(data)

    def _on_jax(self, state: Any, iterator: Any) -> Any:
        assert self._train is not None
        if self._calls > 0:
            self._leave_out(iterator)
            return {}, state
        if not self.is_over:
            self._take_state()
            state = self._model._get_jax_state(
                trainable_variables=True,
                non_trainable_variables=True,
                optimizer_variables=True,
                metrics_variables=True,
                purge_model_variables=True,
            )
        return self._train(state, iterator)

    def _leave_out(self, data: Any) -> None:
        """Take the batches of one call from where they come; a list of them is taken already."""
        self._calls -= 1
        if isinstance(data, list):
            return
        for _ in range(self._model.steps_per_execution):
            if next(data, None) is None:
                return


def written_out(sources: Sources) -> dict[str, Any]:
    """Return random sources as plain values.

    Example:
        >>> written_out({"numpy": np.array([1, 2], np.uint32)})
        {'numpy': ['uint32', [1, 2]]}
    """
    return {name: [str(array.dtype), array.tolist()] for name, array in sources.items()}


def read_back(values: Mapping[str, Any]) -> Sources:
    """Return the random sources that `written_out` wrote out."""
    return {name: np.array(numbers, dtype) for name, (dtype, numbers) in values.items()}

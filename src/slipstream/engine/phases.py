"""Training in two phases: a head on a frozen base, then both at a lower rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import keras
import numpy as np

from slipstream.data.splits import Split
from slipstream.engine.extras import extras_of
from slipstream.engine.feed import Feed
from slipstream.engine.optimizers import build_optimizer, is_built_early
from slipstream.engine.rates import cycle_momentum
from slipstream.errors import InputError, PlanError
from slipstream.plan import Plan
from slipstream.rewrite.freeze import Base, find_base


@final
class Phases:
    """The two phases of a model's training; it stands in the first when it is made.

    The optimizer of each phase is built for what learns in it, and begins with the phase: with
    slots of zero and no updates made, as after compiling anew.

    Args:
        plan: The plan; transfer.frozen is above 0.
        model: The built model, which is not compiled yet.

    Raises:
        PlanError: The model has no base, or nothing beside it.
    """

    def __init__(self, plan: Plan, model: Any) -> None:
        self._plan = plan
        self._model = model
        try:
            self._base: Base = find_base(model, plan.transfer.base)
        except InputError as error:
            raise PlanError(
                f"{error.expected}, for transfer.frozen = {plan.transfer.frozen!r}",
                error.came,
                error.mend,
                code=error.code,
            ) from error
        self._optimizers: list[Any] = []
        self._base.freeze()
        self.is_second = False

    def applied(self) -> dict[str, str]:
        """Return what is done of the plan, by plan key."""
        transfer, base = self._plan.transfer, self._base
        norms = [
            layer for layer in base.layers if isinstance(layer, keras.layers.BatchNormalization)
        ]
        words = {"transfer.base": f"{base.name}, {base.parameters:,} parameters"}
        if transfer.frozen != 1.0:
            kept = transfer.batch_norm == "frozen"
            state = "frozen throughout" if kept else "trained after the first phase"
            words["transfer.batch_norm"] = f"{len(norms)} layers in the base, {state}"
        return words

    def num_frozen(self, feed: Feed) -> int:
        """Return how many updates the first phase has."""
        return self._plan.transfer.num_frozen(self._plan.duration.epochs, feed.updates_per_epoch)

    def is_other_at(self, update: int, feed: Feed) -> bool:
        """Whether the update after so many others belongs to the other phase."""
        return (update >= self.num_frozen(feed)) != self.is_second

    def change(self, feed: Feed, train: Split) -> None:
        """Stand in the other phase.

        Nothing of the model's program may be under way; it is to be opened anew.

        Args:
            feed: The training split, cut into updates.
            train: The training split.
        """
        if not self._optimizers:
            self._optimizers = [self._model.optimizer]
        self.is_second = not self.is_second
        if self.is_second:
            self._base.thaw(norms=self._plan.transfer.batch_norm == "trained")
            if len(self._optimizers) == 1:
                self._optimizers.append(self._second_optimizer(feed, train))
        else:
            self._base.freeze()
        self._take(self._optimizers[self.is_second])

    def _second_optimizer(self, feed: Feed, train: Split) -> Any:
        model, plan, first = self._model, self._plan, self._model.optimizer
        change = self.num_frozen(feed)
        extras = extras_of(plan, model, train, after=change)
        # The rate is handed to each update.
        optimizer = build_optimizer(plan, model, float(first.learning_rate), extras)
        cycle_momentum(plan, feed, optimizer, after=change)
        if is_built_early(optimizer):
            optimizer.build(model.trainable_variables)
        if isinstance(first, keras.optimizers.LossScaleOptimizer):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name=first.name)
        optimizer.build(model.trainable_variables)
        return optimizer

    def _take(self, optimizer: Any) -> None:
        """Give the model an optimizer as compiling it would, and leave loss and metrics alone."""
        with keras.src.utils.tracking.DotNotTrackScope():
            self._model.optimizer = optimizer
            self._model._compiled_trainable_state = {
                layer: layer.trainable for layer in self._model._flatten_layers()
            }


@contextmanager
def kept_metrics(model: Any) -> Iterator[None]:
    """Within it the metrics of a model may be reset; afterwards they are what they were."""
    kept = [keras.ops.convert_to_numpy(variable.value) for variable in model.metrics_variables]
    kept = [np.array(value) for value in kept]
    try:
        yield
    finally:
        for variable, value in zip(model.metrics_variables, kept, strict=True):
            variable.assign(value)

"""Keras' own fit, observed: what a person has today, to be measured against."""

from __future__ import annotations

import time
from typing import Any, final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from slipstream.backends import scalars
from slipstream.data.columns import columns_in
from slipstream.data.splits import Data
from slipstream.engine.build import Built
from slipstream.engine.class_weights import class_weighted
from slipstream.engine.clipping import read_clipping
from slipstream.engine.events import Progress
from slipstream.engine.keras_feed import FileBatches
from slipstream.engine.limits import Limits
from slipstream.engine.recorder import Recorder
from slipstream.plan import Plan
from slipstream.record import Point


@final
@keras.saving.register_keras_serializable("slipstream")
class RateTable(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate for each update, read from a table of shape (total updates,)."""

    def __init__(self, rates: NDArray[np.float64]) -> None:
        self.rates = np.asarray(rates, np.float32)

    def __call__(self, step: Any) -> Any:
        """Return the rate of an update; the last one lasts for ever."""
        last = ops.minimum(ops.cast(step, "int32"), len(self.rates) - 1)
        return ops.take(ops.convert_to_tensor(self.rates), last)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this schedule."""
        return {"rates": self.rates.tolist()}


def rates_for_keras(rates: NDArray[np.float64]) -> Any:
    """Return a float for a constant rate, else a Keras schedule."""
    return float(rates[0]) if np.all(rates == rates[0]) else RateTable(rates)


class KerasLoop:
    """Runs `Model.fit` on the arrays and notes every epoch.

    Args:
        built: The compiled model.
        rates: The learning rate of each update, shape (total updates,).
        data: The data set.
        plan: The plan; its loop is "keras".
        recorder: Where events go.
    """

    def __init__(
        self,
        built: Built,
        rates: NDArray[np.float64],
        data: Data,
        plan: Plan,
        recorder: Recorder,
    ) -> None:
        self._built = built
        self._rates = rates
        self._data = data
        self._plan = plan
        self._recorder = recorder
        self.update = 0
        self.examples = 0

    def run(self, limits: Limits) -> str:
        """Train until the plan, an observer or a limit ends it; returns the outcome."""
        watch = _Watch(self, limits)
        callbacks: list[Any] = [watch]
        if self._plan.optimizer.ema > 0:
            # Before the watch, so that it sees the averaged weights.
            callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
        start = time.perf_counter()
        self._built.model.fit(
            **self._fit_data(),
            epochs=self._plan.duration.epochs,
            callbacks=callbacks,
            verbose=0,
        )
        clock = self._recorder.clock
        clock.add("train", time.perf_counter() - start - clock.spent.get("evaluate", 0.0))
        return self._recorder.stop or ("limit_reached" if watch.limited else "completed")

    def _fit_data(self) -> dict[str, Any]:
        """Return what fit is given of the data: arrays, or batches of what lies in files."""
        train = class_weighted(self._data.train, self._plan)
        validation = self._data.validation
        if columns_in((train.parts(), validation.parts())):
            return {
                "x": FileBatches(train, self._plan, is_training=True),
                "validation_data": FileBatches(validation, self._plan, is_training=False),
                "shuffle": False,
            }
        return {
            "x": train.x,
            "y": train.y,
            "sample_weight": train.sample_weight,
            "batch_size": self._plan.batch.size,
            "validation_data": validation.parts()
            if validation.sample_weight is not None
            else (validation.x, validation.y),
        }

    @property
    def epochs(self) -> float:
        """How many epochs the updates made so far are."""
        return self.update * self._plan.duration.epochs / len(self._rates)

    def batch_done(self, epoch: int, batch: int) -> None:
        """Note that a batch, counted from 0 in its epoch, is done, and tell how far the run is."""
        num_train = self._data.train.num_examples
        updates = len(self._rates) // self._plan.duration.epochs
        # With several steps per execution the last batch may be counted past the epoch's end.
        self.update = epoch * updates + min(batch + 1, updates)
        self.examples = epoch * num_train + min((batch + 1) * self._plan.batch.size, num_train)
        seconds = self._recorder.clock.seconds
        self._recorder.tell(
            Progress(
                update=self.update,
                total_updates=len(self._rates),
                epoch=self.epochs,
                seconds=seconds,
                examples_per_second=self.examples / max(seconds, 1e-9),
            )
        )

    def epoch_done(self, logs: dict[str, Any]) -> None:
        """Note what Keras logged at the end of an epoch, be it cut short."""
        point = Point(
            step=self.update,
            epoch=self.epochs,
            seconds=self._recorder.clock.seconds,
            values=scalars(logs) | read_clipping(self._built.model.optimizer),
        )
        rate = float(self._rates[min(self.update, len(self._rates)) - 1])
        self._recorder.evaluated(point, self._built.model, rate)

    def should_stop(self, limits: Limits) -> bool:
        """Whether a limit is met."""
        return limits.are_met(self.update, self._recorder.clock.seconds)

    @property
    def recorder(self) -> Recorder:
        """Where events go."""
        return self._recorder


@final
class _Watch(keras.callbacks.Callback):
    """Turns Keras' callbacks into the loop's notes."""

    def __init__(self, loop: KerasLoop, limits: Limits) -> None:
        super().__init__()
        self._loop = loop
        self._limits = limits
        self._test_start = 0.0
        self._epoch = 0
        self.limited = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del logs
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del logs
        self._loop.batch_done(self._epoch, batch)
        self.limited = self._loop.should_stop(self._limits)
        if self.limited or self._loop.recorder.stop:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:
        del logs
        self._test_start = time.perf_counter()

    def on_test_end(self, logs: Any = None) -> None:
        del logs
        seconds = time.perf_counter() - self._test_start
        self._loop.recorder.clock.add("evaluate", seconds)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch
        self._loop.epoch_done(logs or {})
        if self._loop.recorder.stop:
            self.model.stop_training = True

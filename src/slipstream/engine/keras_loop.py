"""Keras' own fit, observed: what a person has today, to be measured against."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from slipstream.backends import TrainingState, is_undefined_loss, not_finite, scalars, state_of
from slipstream.backends.seeding import random_sources
from slipstream.data.columns import columns_in
from slipstream.data.order import Position
from slipstream.data.splits import Data
from slipstream.engine.build import Built, build_state
from slipstream.engine.class_weights import class_weighted
from slipstream.engine.clipping import read_clipping
from slipstream.engine.keeping import Keeper
from slipstream.engine.keras_feed import FileBatches
from slipstream.engine.limits import Limits
from slipstream.engine.recorder import Recorder
from slipstream.engine.replay import Replay, Sources, read_back, written_out
from slipstream.engine.trouble import (
    ADVICE,
    has_diverged,
    refuse_divergence,
    undefined,
)
from slipstream.errors import TrainingError
from slipstream.plan import Plan
from slipstream.record import Point

OWN_LOOP = "runtime.loop = 'slipstream' names the batch and leaves it out."
UNJUDGED = (
    "Look for extreme or broken examples in the validation split, and for a logarithm of 0 or a "
    "division by 0 in the model or the loss. With runtime.loop = 'slipstream' the training goes on."
)
UNGUARDED = "Keras' loop went on, for guard.non_finite is off; with it on, the run ends there."


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


class _InterruptedError(Exception):
    """Somebody wants the run to end now, and to go on later."""


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
        self.keeper: Keeper | None = None
        self.replay: Replay | None = None
        self._sources: Sources = {}
        self._batches: FileBatches | None = None
        self.update = 0
        self.examples = 0

    def run(self, limits: Limits) -> str:
        """Train until the plan, an observer or a limit ends it; returns the outcome."""
        if self.replay is not None and (self._recorder.decided or self.update == len(self._rates)):
            # It goes on from the end of a run: only what comes after training is left.
            build_state(self._built.model, self._data.train)
            self.replay.end()
            return self._recorder.decided or "completed"
        try:
            outcome = self._fit(limits)
        except _InterruptedError:
            return "interrupted"
        if self.keeper is not None:
            self.keeper.last(self.update)
        return outcome

    def _fit(self, limits: Limits) -> str:
        watch = _Watch(self, limits)
        callbacks: list[Any] = [watch]
        if self._plan.optimizer.ema > 0:
            # Before the watch, so that it sees the averaged weights.
            callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
        epochs = self._plan.duration.epochs
        settings = self._fit_data()
        if self.replay is not None:
            if keras.backend.backend() == "tensorflow":
                # There fit makes state when it first trains; elsewhere it looks at data for it.
                build_state(self._built.model, self._data.train)
            self.replay.begin()
            settings["validation_freq"] = self.replay.validation_freq(epochs)
            settings["initial_epoch"] = self.replay.first_epoch
        clock = self._recorder.clock
        start, evaluated = time.perf_counter(), clock.spent.get("evaluate", 0.0)
        try:
            self._built.model.fit(**settings, epochs=epochs, callbacks=callbacks, verbose=0)
        except RuntimeError as error:
            if not is_undefined_loss(error):
                raise
            raise self._undefined() from error
        self._note_divergence()
        if self.replay is not None:
            self.replay.end()
        evaluating = clock.spent.get("evaluate", 0.0) - evaluated
        clock.add("train", time.perf_counter() - start - evaluating)
        return self._recorder.stop or ("limit_reached" if watch.limited else "completed")

    def _undefined(self) -> TrainingError:
        """Return what a run ends with whose loss torch refuses to compute."""
        points = self._recorder.points
        is_noted = bool(points) and points[-1].step == self.update
        is_judging = self.update > 0 and self.is_at_end_of_epoch and not is_noted
        if is_judging and not not_finite(self._built.model):
            came = f"{np.nan} after update {self.update} (epoch {self.epochs:.2f})"
            return TrainingError("a finite validation loss", came, UNJUDGED, code="SLP-525")
        return undefined(self.update, self.epochs, self._recorder, f"{ADVICE} {OWN_LOOP}")

    def _fit_data(self) -> dict[str, Any]:
        """Return what fit is given of the data: arrays, or batches of what lies in files."""
        train = class_weighted(self._data.train, self._plan)
        validation = self._data.validation
        if self._has_own_order:
            self._batches = FileBatches(train, self._plan, is_training=True)
            judged = FileBatches(validation, self._plan, is_training=False)
            return {"x": self._batches, "validation_data": judged, "shuffle": False}
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
    def _has_own_order(self) -> bool:
        """Whether examples come in an order of seed and epoch, as those from files do."""
        train, validation = self._data.train, self._data.validation
        return bool(columns_in((train.parts(), validation.parts())))

    @property
    def is_at_end_of_epoch(self) -> bool:
        """Whether the updates made so far are whole epochs."""
        return self.update % self._per_epoch == 0

    @property
    def is_replaying(self) -> bool:
        """Whether the updates that fit makes now were made by an earlier sitting."""
        return self.replay is not None and not self.replay.is_over

    @property
    def _per_epoch(self) -> int:
        return len(self._rates) // self._plan.duration.epochs

    def hand_out(self) -> TrainingState:
        """Return the complete state of the training; for callbacks, between two updates."""
        model = self._built.model
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()
        epoch, update = divmod(self.update, self._per_epoch)
        return state_of(model, Position(epoch, update, self._plan.seeds.seed))

    def take_back(self, state: TrainingState) -> None:
        """Go on, when it runs, where a training of the same task and plan handed its state out.

        Raises:
            RecordError: It is the state of another training. Nothing was changed.
        """
        position = state.position
        self.update = position.epoch * self._per_epoch + position.update
        self.replay = Replay(
            self._built.model, state, self.update, self._per_epoch, self._has_own_order
        )

    def state(self) -> dict[str, Any]:
        """Return what it knows beside the training's state, as plain values."""
        return {"examples": self.examples, "sources": written_out(self._sources)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` returned; the training's state is taken back already."""
        self.examples = state["examples"]
        self._sources = read_back(state["sources"])
        if self.replay is not None:
            self.replay.sources = self._sources

    @property
    def total_updates(self) -> int:
        """How many updates the run has in all."""
        return len(self._rates)

    @property
    def epochs(self) -> float:
        """How many epochs the updates made so far are."""
        return self.update * self._plan.duration.epochs / len(self._rates)

    def batch_done(self, epoch: int, batch: int) -> None:
        """Note that a batch, counted from 0 in its epoch, is done, and tell how far the run is."""
        num_train, updates = self._data.train.num_examples, self._per_epoch
        # With several steps per execution the last batch may be counted past the epoch's end.
        self.update = epoch * updates + min(batch + 1, updates)
        self.examples = epoch * num_train + min((batch + 1) * self._plan.batch.size, num_train)
        self._recorder.progressed(self, self.epochs)

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
        if self._plan.guard.non_finite:
            refuse_divergence(point, self._plan, self._recorder, f"{ADVICE} {OWN_LOOP}")

    def _note_divergence(self) -> None:
        """Say of a run that nothing ended how it ended, where its loss is not finite."""
        points = self._recorder.points
        advice = f"{UNGUARDED} {ADVICE}"
        if points and has_diverged(points[-1], self._plan, self._recorder, advice):
            loss = points[-1].values["loss"]
            self._built.notes.append(f"The run ended with a training loss of {loss}. {UNGUARDED}")

    def should_stop(self, limits: Limits) -> bool:
        """Whether a limit is met."""
        return limits.are_met(self.update, self._recorder.clock.seconds)

    def begin_epoch(self, epoch: int, limits: Limits) -> None:
        """Note that an epoch begins: its order is drawn next."""
        if self._batches is not None:
            self._batches.begin_epoch(epoch)
        if self.replay is not None and not self.replay.is_over:
            self.replay.begin_epoch(epoch)
            return
        self._sources = random_sources()
        if epoch > 0:
            self.between_updates(limits, evaluated=True)

    def between_updates(self, limits: Limits, evaluated: bool) -> None:
        """Offer the run to be kept; leave Keras' fit where somebody interrupts it."""
        if self.keeper is not None:
            self.keeper.offer(self.update, evaluated)
        if limits.interrupted():
            # Before fit is left: that changes weights. It is not asked to stop: it would evaluate
            # what there is of the epoch, as if it were one.
            if self.keeper is not None:
                self.keeper.last(self.update)
            raise _InterruptedError

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
        # Not at the end of an epoch: averaged weights may stand in the model there.
        self._loop.begin_epoch(epoch, self._limits)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del logs
        if self._loop.is_replaying:
            return
        self._loop.batch_done(self._epoch, batch)
        if not self._loop.is_at_end_of_epoch:
            self._loop.between_updates(self._limits, evaluated=False)
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
        if self._loop.is_replaying:
            return
        self._loop.epoch_done(logs or {})
        if self._loop.recorder.stop:
            self.model.stop_training = True

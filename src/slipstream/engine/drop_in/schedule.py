"""ReduceLROnPlateau over a schedule, which Keras refuses with a TypeError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import keras
from keras.src.utils import io_utils

from slipstream.engine.drop_in.callbacks import flat

Schedule = keras.optimizers.schedules.LearningRateSchedule


@final
@keras.saving.register_keras_serializable("slipstream")
class ScaledSchedule(Schedule):  # type: ignore[misc, valid-type, unused-ignore]
    """A schedule times a factor.

    Args:
        schedule: The schedule as it was.
        factor: By what each of its rates is multiplied.
    """

    def __init__(self, schedule: Any, factor: float) -> None:
        self.schedule = schedule
        self.factor = factor

    def __call__(self, step: Any) -> Any:
        """Return the rate of an update."""
        return self.schedule(step) * self.factor

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this schedule."""
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "factor": self.factor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScaledSchedule:
        """Rebuild a schedule."""
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["factor"])


@contextmanager
def reducible_schedules(callbacks: Any) -> Iterator[None]:
    """Within it every ReduceLROnPlateau works on schedules too.

    Where Keras would set a plain rate, the optimizer's schedule is replaced by itself times
    a factor, from then on. With the rate r of the moment the factor is

        max(r * callback.factor, callback.min_lr) / r

    so that the rate is reduced by as much as a plain one, and goes on to fall or rise as the
    schedule says. Further reductions multiply the factor. The optimizer keeps the scaled schedule
    after the fit, as it would keep a plain rate; compiled steps are compiled anew.

    Args:
        callbacks: What was given to a fit.
    """
    kind = keras.callbacks.ReduceLROnPlateau
    patched = [c for c in flat(callbacks) if isinstance(c, kind)]
    patched = [c for c in patched if hasattr(c, "_reduce_optimizer_lr")]
    for callback in patched:
        callback._reduce_optimizer_lr = _reducer(callback, callback._reduce_optimizer_lr)
    try:
        yield
    finally:
        for callback in patched:
            vars(callback).pop("_reduce_optimizer_lr", None)


def with_rate(optimizer: Any) -> Any:
    """Return the optimizer that has the learning rate: the one that loss scaling wraps."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _reducer(callback: Any, keras_reduce: Any) -> Any:
    def reduce(optimizer: Any, epoch: int, name: str = "") -> bool:
        schedule = with_rate(optimizer)._learning_rate
        if not isinstance(schedule, Schedule):
            return bool(keras_reduce(optimizer, epoch, name))
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        if rate <= max(callback.min_lr, 0.0):
            return False
        reduced = max(rate * callback.factor, callback.min_lr)
        factor = reduced / rate
        if isinstance(schedule, ScaledSchedule):
            schedule, factor = schedule.schedule, schedule.factor * factor
        optimizer.learning_rate = ScaledSchedule(schedule, factor)
        if callback.model.train_function is not None:
            # Keras' compiled step holds the old schedule.
            callback.model.make_train_function(force=True)
        if callback.verbose > 0:
            of = f" {name}" if name else ""
            io_utils.print_msg(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing{of} learning rate to {reduced}."
            )
        return True

    return reduce

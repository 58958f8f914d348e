"""Validation at the ends of epochs: by the program over arrays, else by Keras' evaluate."""

from __future__ import annotations

import importlib
from typing import Any, final

import keras
from keras.src.trainers.data_adapters import data_adapter_utils, get_data_adapter
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from slipstream.backends import Program, overrides
from slipstream.data.splits import Arrays, leaves, map_arrays
from slipstream.engine.drop_in.arguments import Arguments
from slipstream.engine.drop_in.arrays import Draws, to_parts
from slipstream.engine.drop_in.callbacks import Hooks
from slipstream.engine.drop_in.models import draws_in_inference
from slipstream.engine.drop_in.report import NotAcceleratedError

# Where one of these is a user's own, what it returns need not be what the metrics say.
OWN_RESULTS = ("evaluate", "test_step", "make_test_function", "compute_metrics", "reset_metrics")


@final
class Validation:
    """The validation data of a fit.

    Args:
        model: The compiled, built model.
        arguments: The arguments of the fit; its validation data are those after a split.
        hooks: What the callbacks want.
    """

    def __init__(self, model: Any, arguments: Arguments, hooks: Hooks) -> None:
        self._model = model
        self._arguments = arguments
        self._batches: list[Arrays] | None = None
        self._by_keras = ""
        self._draws: Draws | None = None
        if arguments.validation_data is None:
            return
        try:
            self._batches = self._cut(hooks)
        except NotAcceleratedError as error:
            self._by_keras = error.reason

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Why Keras evaluates, where it does."""
        return (f"Keras evaluates: {self._by_keras}",) if self._by_keras else ()

    def is_due(self, epoch: int) -> bool:
        """Whether this epoch ends with a validation."""
        if self._arguments.validation_data is None:
            return False
        return bool(self._model._should_eval(epoch, self._arguments.validation_freq))

    def refuse_own(self, reason: str) -> None:
        """Leave it to Keras from now on."""
        if self._batches is not None:
            self._batches, self._by_keras = None, reason

    def run(self, program: Program, callbacks: Any) -> dict[str, Any]:
        """Return the values under their names in the history; Keras' variables hold the state."""
        if self._batches is None:
            values = self._evaluate(callbacks)
        else:
            self._model.stop_evaluating = False
            callbacks.on_test_begin()
            self._draw()
            values = dict(sorted(program.evaluate(self._batches).items()))
            self._draw()
            callbacks.on_test_end(values)
        return {f"val_{name}": value for name, value in values.items()}

    def close(self) -> None:
        """Forget Keras' iterator."""
        if getattr(self._model, "_eval_epoch_iterator", None) is not None:
            del self._model._eval_epoch_iterator

    def _draw(self) -> None:
        if self._draws is not None:
            self._draws.draw()

    @property
    def _batch_size(self) -> int | None:
        return self._arguments.validation_batch_size or self._arguments.batch_size

    def _cut(self, hooks: Hooks) -> list[Arrays]:
        """Return the batches that Keras would make: masked losses depend on where they are cut."""
        if hooks.test_batch:
            raise NotAcceleratedError(f"{hooks.test_batch[0]} is called for each of its batches")
        if self._arguments.validation_steps:
            raise NotAcceleratedError("validation_steps is given")
        own = [name for name in OWN_RESULTS if overrides(self._model, name)]
        if own:
            raise NotAcceleratedError(f"the model has its own {own[0]}")
        x, y, weights = self._data()
        adapter = None
        if not _is_other_data(x):
            adapter = get_data_adapter(x, y, weights, batch_size=self._batch_size, shuffle=False)
        if not isinstance(adapter, ArrayDataAdapter):
            raise NotAcceleratedError("the validation data are not arrays")
        parts = to_parts(adapter)
        if keras.backend.backend() == "jax" and draws_in_inference(self._model, parts[0]):
            raise NotAcceleratedError("the model draws random numbers in inference")
        self._draws = Draws(adapter)
        num, size = len(next(leaves(parts))), int(adapter.batch_size)
        return [
            map_arrays(lambda array, s=start: array[s : s + size], parts)  # type: ignore[misc]
            for start in range(0, num, size)
        ]

    def _data(self) -> tuple[Arrays, Arrays, Arrays]:
        parts: tuple[Arrays, Arrays, Arrays] = data_adapter_utils.unpack_x_y_sample_weight(
            self._arguments.validation_data
        )
        return parts

    def _evaluate(self, callbacks: Any) -> dict[str, Any]:
        model, arguments = self._model, self._arguments
        x, y, weights = self._data()
        if getattr(model, "_eval_epoch_iterator", None) is None:
            model._eval_epoch_iterator = _epoch_iterator(
                model,
                x=x,
                y=y,
                sample_weight=weights,
                batch_size=self._batch_size,
                steps_per_execution=model.steps_per_execution,
                steps_per_epoch=arguments.validation_steps,
                shuffle=False,
            )
        values: dict[str, Any] = model.evaluate(
            x=x,
            y=y,
            sample_weight=weights,
            batch_size=self._batch_size,
            steps=arguments.validation_steps,
            callbacks=callbacks,
            return_dict=True,
            _use_cached_eval_dataset=True,
        )
        return values


def _is_other_data(x: Any) -> bool:
    """Whether looking for an adapter would already read from the data."""
    return hasattr(x, "__next__") or not (
        isinstance(x, list | tuple | dict) or hasattr(x, "shape") or hasattr(x, "__array__")
    )


def _epoch_iterator(model: Any, **settings: Any) -> Any:
    backend = keras.backend.backend()
    trainer = importlib.import_module(f"keras.src.backend.{backend}.trainer")
    if backend == "tensorflow":
        return trainer.TFEpochIterator(distribute_strategy=model.distribute_strategy, **settings)
    return getattr(trainer, "JAXEpochIterator" if backend == "jax" else "TorchEpochIterator")(
        **settings
    )

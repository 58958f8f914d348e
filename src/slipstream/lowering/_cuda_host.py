"""What the host does for a lowered step that runs on a device without asking the host."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, final

import keras
import torch
from keras.optimizers import schedules

from slipstream.backends._cuda import Rates
from slipstream.lowering.updates._native import NativeUpdate, Numbers

# What Keras computes of others it computes with numbers that come from the host.
NATIVE_REGULARIZERS = (
    *(type(None), keras.regularizers.L1),
    *(keras.regularizers.L2, keras.regularizers.L1L2),
)
PLAIN = (bool, int, float, str, type(None))


def refusal(model: Any, fallbacks: Sequence[str], update: Any) -> str:
    """Return why steps of a model are not to be replayed; "" where they can be.

    What Python computes anew in each step, a replay repeats as it was.

    Args:
        model: A compiled, built model.
        fallbacks: What of its step is left to Keras, which may do anything.
        update: Its lowered update.
    """
    return next(_reasons(model, fallbacks, update), "")


def _reasons(model: Any, fallbacks: Sequence[str], update: Any) -> Iterator[str]:
    if fallbacks:
        yield f"a part is left to Keras: {fallbacks[0]}"
    elif not isinstance(update, NativeUpdate):
        yield "the loss scale is looked at in each update"
    optimizer = model.optimizer
    if optimizer.use_ema and optimizer.ema_overwrite_frequency:
        yield "averages overwrite the weights after some updates and not after others"
    if hasattr(optimizer, "clip_watch") and not optimizer.global_clipnorm:
        yield "a bound on the gradient is left to Keras' operations"
    source = optimizer._learning_rate
    if not isinstance(source, keras.Variable | schedules.LearningRateSchedule):
        yield "the learning rate is a function"
    for variable in model.trainable_variables:
        if variable.constraint is not None:
            yield f"a constraint is left to Keras: {type(variable.constraint).__name__}"
        if type(variable.regularizer) not in NATIVE_REGULARIZERS:
            yield f"a regularizer is left to Keras: {type(variable.regularizer).__name__}"
    yield ""


@final
class DeviceUpdate:
    """Counts and rates of a native update for steps that read them on the device.

    See `slipstream.backends._cuda.Host`, which it is.

    Args:
        model: A compiled, built model.
        update: Its native update.
    """

    def __init__(self, model: Any, update: NativeUpdate) -> None:
        self._model = model
        self._optimizer = model.optimizer
        self._update = update
        self._layers = list(model._flatten_layers())
        device = model.trainable_variables[0]._value.device
        self.row = torch.zeros(len(Numbers._fields), dtype=torch.float32, device=device)
        self._numbers = Numbers(*self.row.unbind())

    def __call__(self, gradients: list[torch.Tensor | None], rate: float | None) -> None:
        """Make the update whose numbers are in the row; the rate is among them."""
        del rate
        self._update.move(gradients, self._numbers)
        self._optimizer._iterations._value.add_(1)

    def numbers(self, rates: Rates, count: int) -> torch.Tensor:
        """See `Host`."""
        update = self._update
        step = int(update.iterations.read())
        if rates is None:
            rates = update.rate.ahead(step, count)
        rows = [update.numbers(step + i, float(rates[i])) for i in range(count)]
        return torch.tensor(rows, dtype=torch.float32)

    def made(self, rates: Rates, count: int) -> None:
        """See `Host`."""
        iterations = self._update.iterations
        # What the variable holds on the device, or will hold when that has come so far.
        iterations.follow(iterations.known + count)
        if rates is not None and count:
            self._update.rate.set(float(rates[count - 1]))

    def signature(self) -> Hashable:
        """See `Host`."""
        model, optimizer = self._model, self._optimizer
        penalties = [
            _settings(variable.regularizer)
            for variable in self._update.variables
            if variable.regularizer is not None
        ]
        return (
            tuple(tensor.data_ptr() for tensor in self.state()),
            tuple(layer.trainable for layer in self._layers),
            tuple(variable.trainable for variable in self._update.variables),
            _settings(optimizer),
            tuple(penalties),
            id(model._compile_loss),
            id(model._compile_metrics),
        )

    def state(self) -> list[torch.Tensor]:
        """See `Host`."""
        model = self._model
        variables = {
            id(variable): variable._value
            for variable in (
                *model.variables,
                *model.optimizer.variables,
                *model.metrics_variables,
            )
        }
        return list(variables.values())


def _settings(part: Any) -> Hashable:
    """Return the plain attributes of an object."""
    plain = tuple((name, value) for name, value in vars(part).items() if isinstance(value, PLAIN))
    return type(part), id(part), plain

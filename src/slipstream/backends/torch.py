"""Stepping a Keras model on PyTorch: a step is put together from parts, Keras' own or native."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, final

import keras
import numpy as np
import torch
from numpy.typing import NDArray

from slipstream.backends._cuda import CudaRecorder, Host, RecordedSteps, Recorder
from slipstream.backends._overrides import overrides
from slipstream.backends._preparation import batches_of, judged, prepared
from slipstream.backends._protocol import loss_rows, loss_tracker, scalars
from slipstream.backends._settings import PLAIN, StepSettings
from slipstream.backends._shares import factors_of
from slipstream.backends._undefined import is_undefined_loss
from slipstream.data.splits import Arrays, Split, leaves, map_arrays

# NumPy's dtypes that mean the same in PyTorch: such arrays are taken as they lie in memory.
SHARED_DTYPES = frozenset("?bhilBefd")


class Seen(NamedTuple):
    """A batch that went through the model: what losses and metrics are computed from."""

    x: Any
    y: Any
    weights: Any
    predictions: Any

    @property
    def num_examples(self) -> int:
        """The number of examples in it."""
        first = self.x if isinstance(self.x, torch.Tensor) else next(leaves(self.x))
        return int(first.shape[0])


@dataclass(frozen=True)
class Parts:
    """What a step is made of.

    Args:
        forward: From inputs and whether it is training to predictions.
        loss: From a batch and whether it is training to the total loss, a scalar tensor.
        track: Adds a batch and its loss to the loss tracker and the metrics.
        update: Moves the trainable variables, given the gradient of each (None where the loss
            does not reach it) and a learning rate (None leaves the optimizer's own alone).
        host: What the host does for a step that asks it for nothing, on a GPU: such steps are
            recorded. None where the step runs call by call.
    """

    forward: Callable[[Any, bool], Any]
    loss: Callable[[Seen, bool], torch.Tensor]
    track: Callable[[Seen, torch.Tensor], None]
    update: Callable[[list[torch.Tensor | None], float | None], None]
    host: Host | None = None


def keras_parts(model: Any) -> Parts:
    """Return the parts of a step as Keras has them."""
    variables = list(model.trainable_variables)
    has_own_metrics = overrides(model, "compute_metrics")

    def forward(x: Any, training: bool) -> Any:
        return model(x, training=training)

    def loss(seen: Seen, training: bool) -> torch.Tensor:
        x, y, weights, predictions = seen
        total: torch.Tensor = model._compute_loss(x, y, predictions, weights, training=training)
        return total

    def track(seen: Seen, value: torch.Tensor) -> None:
        model._loss_tracker.update_state(value.detach(), sample_weight=seen.num_examples)
        x, y, weights, predictions = seen
        if has_own_metrics:
            model.compute_metrics(x, y, predictions, sample_weight=weights)
        elif model._compile_metrics is not None:
            # Only the update: the values are computed when somebody looks.
            model._compile_metrics.update_state(y, predictions, sample_weight=weights)

    def update(gradients: list[torch.Tensor | None], rate: float | None) -> None:
        if rate is not None:
            model.optimizer.learning_rate = rate
        # One that was frozen since the model was compiled is left out without a word.
        kept = [i for i, variable in enumerate(variables) if variable.trainable]
        model.optimizer.apply([gradients[i] for i in kept], [variables[i] for i in kept])

    return Parts(forward, loss, track, update)


def open_program(
    model: Any,
    *,
    jit: bool,
    parts: Parts | None = None,
    capture: bool = True,
    recorder: Recorder | None = None,
    note: Callable[[str], None] | None = None,
    settings: StepSettings = PLAIN,
) -> TorchProgram:
    """Return the program of a compiled, built model, of Keras' own parts unless told otherwise.

    Args:
        model: The model.
        jit: Means nothing here.
        parts: What its steps are made of.
        capture: Whether steps that the host has no part in are recorded.
        recorder: What records them; CUDA graphs on a GPU if None.
        note: Told what a record should say of the steps, as it is found out.
        settings: What its steps do beyond one gradient. Sharpness-aware ones are not recorded, nor
            are those that change examples.
    """
    del jit
    parts = parts or keras_parts(model)
    capture = capture and not settings.sharpness
    if capture and recorder is None and parts.host is not None and parts.host.row.is_cuda:
        recorder = CudaRecorder()
    return TorchProgram(
        model, parts, recorder if capture else None, note or (lambda _: None), settings
    )


@final
class TorchProgram:
    """See `slipstream.backends.Program`.

    Args:
        model: A compiled and built Keras model.
        parts: What its steps are made of. A model with a step of its own is stepped by that.
        recorder: What records steps; None records none.
        note: Told why steps are not recorded.
        settings: What its steps do beyond one gradient.
    """

    def __init__(
        self,
        model: Any,
        parts: Parts,
        recorder: Recorder | None,
        note: Callable[[str], None],
        settings: StepSettings,
    ) -> None:
        self._model = model
        self._parts = parts
        self._sharpness = settings.sharpness
        self._shares = settings.shares
        self._overflows = settings.overflows
        self._preparation = settings.preparation
        self._placed: Arrays = None
        self._tracked = loss_tracker(model) if settings.tells_losses else None
        # States of the loss tracker around the updates of each call.
        self._told: list[list[torch.Tensor]] = []
        self._recorded: RecordedSteps | None = None
        if parts.host is not None:
            self._recorded = RecordedSteps(parts.host, self._update, self._gather, recorder, note)
            self._recorded.after = self._tell
        self._variables: list[Any] = list(model.trainable_variables)
        self._has_own_step = overrides(model, "train_step")
        self._has_own_test_step = overrides(model, "test_step")

    def place(self, split: Split | None) -> None:
        self._placed = map_arrays(_to_tensor, split.parts() if split else None)
        if self._recorded is not None:
            self._recorded.forget()

    def train(self, block: Arrays, rates: NDArray[np.float32] | None, count: int) -> None:
        self._begin_to_tell()
        if self._recorded is not None:
            self._recorded.train(map_arrays(_on_host, block), rates, count)
            return
        block = map_arrays(_to_tensor, block)
        for index in range(count):
            update = map_arrays(lambda array, i=index: array[i], block)  # type: ignore[misc]
            batches = batches_of(update, self._gather, self._preparation)
            self._update(batches, None if rates is None else float(rates[index]))
            self._tell()

    def train_ragged(self, batches: Sequence[Arrays], rate: float | None) -> None:
        self._begin_to_tell()
        tensors = [map_arrays(_to_tensor, batch) for batch in batches]
        if self._recorded is not None:
            self._recorded.train_ragged(tensors, rate)
        else:
            self._update([prepared(batch, self._preparation) for batch in tensors], rate)
        self._tell()

    def evaluate(self, batches: Sequence[Arrays]) -> dict[str, float]:
        self._model.reset_metrics()
        self._set_mode(training=False)
        with torch.no_grad():
            for batch in batches:
                self._test(map_arrays(_to_tensor, batch))
        return self.read_metrics()

    def peek_metrics(self) -> dict[str, float]:
        return scalars(self._model.get_metrics_result())

    def step_logs(self) -> dict[str, float]:
        return self.peek_metrics()

    def read_metrics(self) -> dict[str, float]:
        values = self.peek_metrics()
        self._model.reset_metrics()
        return values

    def read_losses(self) -> NDArray[np.float64]:
        told, self._told = self._told, []
        return loss_rows([torch.stack(states).cpu().numpy() for states in told])

    def _begin_to_tell(self) -> None:
        if self._tracked is not None:
            self._told.append([])
            self._tell()

    def _tell(self) -> None:
        """Keep the loss tracker's sum and number as they are now."""
        if self._tracked is not None:
            with torch.no_grad():
                self._told[-1].append(torch.stack([one.value for one in self._tracked]))

    def is_idle(self) -> bool:
        return not torch.cuda.is_available() or bool(torch.cuda.current_stream().query())

    def settle(self) -> None:
        self.synchronize()

    def synchronize(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def resume(self) -> None:
        """Keras' variables are the state itself: nothing is to be taken back."""

    def _update(self, batches: list[Arrays], rate: float | None = None) -> None:
        self._set_mode(training=True)
        if len(batches) == 1 and self._has_own_step:
            if rate is not None:
                self._model.optimizer.learning_rate = rate
            self._measured(lambda: self._model.train_step(batches[0]))
            return
        if self._sharpness:
            done = self._differentiated_nearby(batches)
        else:
            done = self._differentiated(batches)
        gradients = [variable._value.grad for variable in self._variables]
        self._forget_gradients()
        with torch.no_grad():
            if self._variables:
                self._parts.update(gradients, rate)
            else:
                warnings.warn("The model does not have any trainable weights.", stacklevel=2)
            for seen, loss in done:
                labels = judged(seen.y, self._preparation)
                self._measured(partial(self._parts.track, seen._replace(y=labels), loss))

    def _measured(self, measure: Callable[[], Any]) -> None:
        """Measure a batch; where an overflow got into the metrics, they stay what they were."""
        if not self._overflows:
            measure()
            return
        values = [variable._value for variable in self._model.metrics_variables]
        before = _copies(values)
        measure()
        values = [variable._value for variable in self._model.metrics_variables]
        if not all(bool(torch.isfinite(value).all()) for value in values):
            with torch.no_grad():
                _put_back(values, before)

    def _factors(self, batches: Sequence[Arrays]) -> list[list[Any] | None]:
        """Return by what each loss of each micro-batch is multiplied, or None for nothing."""
        if self._shares is None or len(batches) == 1:
            return [None] * len(batches)
        sizes = [len(next(leaves(batch))) for batch in batches]
        with torch.no_grad():
            counts = [
                self._shares.counts(batch, self._parts.forward(batch[0], False))
                for batch in batches
            ]
            return [*factors_of(counts, sizes)]

    def _differentiated(self, batches: list[Arrays]) -> list[tuple[Seen, torch.Tensor]]:
        """Leave the gradient of the mean loss over all batches in the variables."""
        # What somebody else left there would be added to.
        self._forget_gradients()
        total = sum(len(next(leaves(batch))) for batch in batches) if len(batches) > 1 else 0
        done = []
        for (x, y, weights), own in zip(batches, self._factors(batches), strict=True):
            seen = Seen(x, y, weights, self._parts.forward(x, True))
            with self._shares.applied(own) if self._shares else nullcontext():
                loss = self._parts.loss(seen, True)
            scaled = self._model.optimizer.scale_loss(loss)
            if len(batches) > 1:
                scaled = scaled * (seen.num_examples / total)
            if self._variables:
                # Adds up over batches, and lays gradients out in memory as their variables are.
                scaled.backward()
            done.append((seen, loss.detach()))
        return done

    def _differentiated_nearby(self, batches: list[Arrays]) -> list[tuple[Seen, torch.Tensor]]:
        """Leave the gradients at w + radius * g / ||g||; only the first pass leaves traces."""
        others = [variable._value for variable in self._model.non_trainable_variables]
        before = _copies(others)
        done = self._differentiated(batches)
        after = _copies(others)
        moved = [v._value for v in self._variables if v._value.grad is not None]
        with torch.no_grad():
            kept = _copies(moved)
            gradients = [weight.grad for weight in moved]
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            factor = self._sharpness / (norm + 1e-12)
            torch._foreach_add_(moved, torch._foreach_mul(gradients, factor))
            _put_back(others, before)
        self._differentiated(batches)
        with torch.no_grad():
            _put_back(others, after)
            _put_back(moved, kept)
        return done

    def _forget_gradients(self) -> None:
        for variable in self._variables:
            variable._value.grad = None

    def _test(self, batch: Arrays) -> None:
        if self._has_own_test_step:
            self._model.test_step(batch)
            return
        x, y, weights = batch
        seen = Seen(x, y, weights, self._parts.forward(x, False))
        try:
            loss = self._parts.loss(seen, False)
        except RuntimeError as error:
            if not is_undefined_loss(error):
                raise
            loss = torch.tensor(torch.nan)
        self._parts.track(seen, loss)

    def _set_mode(self, training: bool) -> None:
        """Tell layers made of PyTorch modules what is going on, as Keras' fit does."""
        if self._model.training != training:
            self._model.train(training)

    def _gather(self, chosen: Arrays) -> Arrays:
        if self._placed is None:
            return chosen

        def pick(array: Any) -> torch.Tensor:
            return torch.index_select(array, 0, chosen)

        return map_arrays(pick, self._placed)


def _copies(tensors: Sequence[Any]) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


def _put_back(tensors: Sequence[Any], values: Sequence[torch.Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _to_tensor(array: Any) -> Any:
    """Return an array as a tensor on Keras' device, without a copy where that is possible."""
    on_cpu = keras.src.backend.torch.core.get_device() == "cpu"
    shared = on_cpu and _is_shared(array) and array.flags.c_contiguous and array.flags.writeable
    return torch.from_numpy(array) if shared else keras.ops.convert_to_tensor(array)


def _on_host(array: Any) -> Any:
    """Return an array as a tensor that has not yet gone to a device, where that is possible."""
    if not _is_shared(array):
        return keras.ops.convert_to_tensor(array)
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _is_shared(array: Any) -> bool:
    return (
        isinstance(array, np.ndarray) and array.dtype.char in SHARED_DTYPES and array.dtype.isnative
    )

"""Looking into a model on PyTorch: through Keras' own call, which differentiates twice."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import keras
import numpy as np
import torch
from numpy.typing import NDArray

from slipstream.backends._look import Values, flat, untouched
from slipstream.data.splits import Arrays, map_arrays


def open_looker(model: Any) -> TorchLooker:
    """Return what looks into a compiled, built model."""
    return TorchLooker(model)


def start_profile(folder: Path) -> Callable[[], None]:
    """Begin to profile; returns what ends it and writes `plugins/profile` in the folder."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    profile = torch.profiler.profile(activities=activities)
    profile.start()

    def stop() -> None:
        profile.stop()
        # Where TensorBoard looks for profiles: a folder for each session, a file for each host.
        session = folder / "plugins" / "profile" / time.strftime("%Y_%m_%d_%H_%M_%S")
        session.mkdir(parents=True, exist_ok=True)
        profile.export_chrome_trace(str(session / f"{platform.node() or 'host'}.trace.json.gz"))

    return stop


@final
class TorchLooker:
    """See `slipstream.backends.Looker`."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def loss(self, batch: Arrays) -> float:
        with self._as(training=False), torch.no_grad():
            return float(self._loss(batch, training=False))

    def gradient(
        self, batch: Arrays, *, training: bool, scale: float = 1.0
    ) -> tuple[float, Values]:
        tensors = self._tensors()
        with self._as(training=training):
            loss = self._loss(batch, training=training)
            gradients = torch.autograd.grad(loss * scale, tensors, allow_unused=True)
        return float(loss.detach()), [
            _number(gradient, tensor) / np.float32(scale)
            for gradient, tensor in zip(gradients, tensors, strict=True)
        ]

    def hessian_product(self, batch: Arrays, vector: Sequence[NDArray[Any]]) -> Values:
        tensors = self._tensors()
        directions = [
            torch.as_tensor(part, dtype=tensor.dtype, device=tensor.device)
            for part, tensor in zip(vector, tensors, strict=True)
        ]
        with self._as(training=False):
            loss = self._loss(batch, training=False)
            first = torch.autograd.grad(loss, tensors, create_graph=True, allow_unused=True)
            terms = [
                (gradient * part).sum()
                for gradient, part in zip(first, directions, strict=True)
                if gradient is not None and gradient.requires_grad
            ]
            product = torch.stack(terms).sum()
            second = torch.autograd.grad(product, tensors, allow_unused=True)
        return [_number(value, tensor) for value, tensor in zip(second, tensors, strict=True)]

    def outputs(self, model: Any, x: Any, *, training: bool) -> list[NDArray[Any]]:
        with untouched(model), torch.no_grad():
            outputs = model(map_arrays(keras.ops.convert_to_tensor, x), training=training)
        return [np.asarray(keras.ops.convert_to_numpy(out)) for out in flat(outputs)]

    @contextmanager
    def _as(self, *, training: bool) -> Iterator[None]:
        """Within it layers made of PyTorch modules know whether it is training."""
        before = self._model.training
        self._model.train(training)
        try:
            with untouched(self._model):
                yield
        finally:
            self._model.train(before)

    def _tensors(self) -> list[torch.Tensor]:
        return [variable._value for variable in self._model.trainable_variables]

    def _loss(self, batch: Arrays, *, training: bool) -> Any:
        x, y, weights = map_arrays(keras.ops.convert_to_tensor, batch)
        predictions = self._model(x, training=training)
        return self._model._compute_loss(x, y, predictions, weights, training=training)


def _number(value: torch.Tensor | None, tensor: torch.Tensor) -> NDArray[np.float32]:
    if value is None:
        return np.zeros(tuple(tensor.shape), np.float32)
    return np.asarray(value.detach().to("cpu", torch.float32).numpy())

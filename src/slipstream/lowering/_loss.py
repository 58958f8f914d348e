"""The total loss of a model: what was compiled, regularizers, and what layers add."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, final

import keras
import torch

from slipstream.backends import overrides
from slipstream.backends.torch import Seen
from slipstream.lowering._loss_compiled import Compiled, of_compiled

Tensor = torch.Tensor


@final
class NativeLoss:
    """Computes what `Model.compute_loss` does.

    Args:
        model: A compiled, built model.
        keras_loss: What Keras itself does, from a batch and whether it is training.
        only_regularizers: Whether no layer can add to the loss when the model is called; the
            regularizers of weights are always looked for.
    """

    def __init__(
        self,
        model: Any,
        keras_loss: Callable[[Seen, bool], Tensor],
        only_regularizers: bool,
    ) -> None:
        self._model = model
        self._keras_loss = keras_loss
        self._variables = list(model.trainable_variables)
        self._layers = [] if only_regularizers else list(model._flatten_layers())
        # Compiled losses come in turns: the plan's while training, the task's for evaluations.
        self._known: dict[int, tuple[Any, Compiled | str]] = {}
        self._is_own = overrides(model, "compute_loss") or overrides(model, "_compute_loss")

    def __call__(self, seen: Seen, training: bool) -> Tensor:
        compiled = self.compiled(self._model._compile_loss)
        value = None
        if isinstance(compiled, Compiled):
            value = compiled.run(seen.y, seen.predictions, seen.weights)
        if value is None:
            return self._keras_loss(seen, training)
        others = list(self._others())
        return torch.stack([value, *others]).sum() if others else value

    def compiled(self, loss: Any) -> Compiled | str:
        """Return the native form of a compiled loss, or why there is none."""
        known = self._known.get(id(loss))
        if known is not None:
            return known[1]
        if self._is_own:
            return "the model computes its loss itself"
        try:
            native = of_compiled(loss)
        except AttributeError as error:
            return f"this version of Keras keeps its losses elsewhere: {error}"
        if getattr(loss, "built", False):
            self._known[id(loss)] = (loss, native)
        return native

    def _others(self) -> Iterator[Tensor]:
        """Yield what layers and regularizers add, in Keras' order."""
        if any(layer._losses for layer in self._layers):
            for layer in self._layers:
                yield from (_as_float(loss).sum() for loss in layer._losses)
        for variable in self._variables:
            if variable.regularizer is not None and variable.trainable:
                yield penalty(variable)


def penalty(variable: Any) -> Tensor:
    """Return what the regularizer of a variable adds to the loss."""
    regularizer, weight = variable.regularizer, variable._value
    total: Tensor
    if type(regularizer) is keras.regularizers.L1L2:
        total = weight.abs().sum() * regularizer.l1 + weight.square().sum() * regularizer.l2
    elif type(regularizer) is keras.regularizers.L2:
        total = weight.square().sum() * regularizer.l2
    elif type(regularizer) is keras.regularizers.L1:
        total = weight.abs().sum() * regularizer.l1
    else:
        total = _as_float(regularizer(variable)).sum()
    return total


def _as_float(loss: Any) -> Tensor:
    tensor: Tensor = keras.ops.convert_to_tensor(loss)
    return tensor if tensor.is_floating_point() else tensor.to(torch.float32)

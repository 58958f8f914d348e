"""What a model is called with, flat and as Keras would convert it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import keras
import torch


@final
class Inputs:
    """Flattens, converts and checks what a functional model is called with, as Keras does.

    Keras' own way takes longer than a small net's forward pass. It is gone for each new
    combination of shapes and dtypes; where it changed nothing, it is not gone again.

    Args:
        functional: The functional model.
        check: Check shapes against those of the model's inputs, which Sequential models do not.
    """

    def __init__(self, functional: Any, *, check: bool) -> None:
        self._functional = functional
        self._check = check
        self._known: set[tuple[Any, ...]] = set()
        self._keys = _keys_of(functional)
        self._is_list = isinstance(functional._inputs_struct, list | tuple) and all(
            isinstance(part, keras.KerasTensor) for part in functional._inputs_struct
        )

    def __call__(self, x: Any) -> Sequence[Any]:
        """Return the flat tensors; raises what Keras raises where they do not fit."""
        flat = self._quick(x)
        if flat is None:
            return self._as_keras(x)
        kind = tuple((tensor.dtype, tensor.shape, tensor.device) for tensor in flat)
        if kind in self._known:
            return flat
        converted = self._as_keras(x)
        if all(one is other for one, other in zip(flat, converted, strict=True)):
            self._known.add(kind)
        return converted

    def _quick(self, x: Any) -> Sequence[torch.Tensor] | None:
        if isinstance(x, torch.Tensor):
            flat: Sequence[Any] = (x,)
        elif isinstance(x, dict) and self._keys is not None and x.keys() == set(self._keys):
            flat = [x[key] for key in self._keys]
        elif isinstance(x, list | tuple) and self._is_list:
            flat = x
        else:
            return None
        if len(flat) != len(self._functional.inputs):
            return None
        return flat if all(isinstance(part, torch.Tensor) for part in flat) else None

    def _as_keras(self, x: Any) -> Sequence[Any]:
        if self._check:
            self._functional._assert_input_compatibility(x)
        return self._functional._standardize_inputs(x)  # type: ignore[no-any-return]


def _keys_of(functional: Any) -> list[str] | None:
    """Return the keys of a model's dict of inputs in the order of its flat inputs."""
    struct = functional._inputs_struct
    if not isinstance(struct, dict):
        return None
    names = {id(tensor): key for key, tensor in struct.items()}
    keys = [names.get(id(tensor)) for tensor in functional.inputs]
    return None if None in keys else keys  # type: ignore[return-value]

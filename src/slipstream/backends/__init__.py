"""All that must know a framework: one module for each, behind one protocol."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from slipstream.backends._cuda_memory import peak_device_bytes
from slipstream.backends._eager import run_eagerly
from slipstream.backends._look import Looker
from slipstream.backends._overrides import overrides
from slipstream.backends._protocol import Program, scalars
from slipstream.backends._settings import PLAIN, StepSettings
from slipstream.backends._shares import shares_of
from slipstream.backends._state import TrainingState, not_finite, restore_state, state_of
from slipstream.backends._tensor_float import set_tensor_float32
from slipstream.backends._undefined import is_undefined_loss

__all__ = [
    "Looker",
    "Program",
    "StepSettings",
    "TrainingState",
    "is_undefined_loss",
    "not_finite",
    "open_looker",
    "open_program",
    "overrides",
    "peak_device_bytes",
    "restore_state",
    "run_eagerly",
    "scalars",
    "set_graph_bfloat16",
    "set_tensor_float32",
    "shares_of",
    "start_profile",
    "state_of",
]


def open_program(
    model: Any, backend: str, *, jit: bool, settings: StepSettings = PLAIN, **others: Any
) -> Program:
    """Return the program of a compiled and built Keras model on the backend that Keras runs on.

    Args:
        model: The model.
        backend: The backend.
        jit: Whether the step is compiled, where the backend leaves the choice.
        settings: What its steps do beyond one gradient.
        others: What only this backend's module knows of.
    """
    module = importlib.import_module(f"slipstream.backends.{backend}")
    return cast(Program, module.open_program(model, jit=jit, settings=settings, **others))


def open_looker(model: Any, backend: str) -> Looker:
    """Return what looks into a compiled and built model on the backend that Keras runs on."""
    module = importlib.import_module(f"slipstream.backends.look_{backend}")
    return cast(Looker, module.open_looker(model))


def start_profile(folder: Path, backend: str) -> Callable[[], None]:
    """Begin a profile on the backend that Keras runs on.

    Args:
        folder: Below which, in `plugins/profile`, TensorBoard finds it.
        backend: The backend.

    Returns:
        What ends it and writes it.
    """
    module = importlib.import_module(f"slipstream.backends.look_{backend}")
    return cast(Callable[[], None], module.start_profile(folder))


def set_graph_bfloat16(on: bool) -> None:
    """Switch TensorFlow's own rewrite of float32 graphs to bfloat16 kernels on or off."""
    module = importlib.import_module("slipstream.backends.tensorflow")
    module.set_graph_bfloat16(on)

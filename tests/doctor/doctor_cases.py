"""Builders of cases: a few words make data and model facts that agree unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from slipstream.data import Data, Split
from slipstream.doctor import Case
from slipstream.plan import Plan
from slipstream.task import InputFacts, ModelFacts, OutputFacts

NUM_TRAIN = 40
NUM_VALIDATION = 20


def output(shape: tuple[int | None, ...], activation: str, loss: str, **more: Any) -> OutputFacts:
    logits = {"from_logits": False} if "rossentropy" in loss else {"from_logits": None}
    facts = {"name": "y", "shape": shape, "activation": activation, "loss": loss}
    return OutputFacts(**facts | logits | more)


def features(*shape: int) -> Callable[[int], np.ndarray]:
    """Return a maker of n examples of a shape, none like another, from 0 to 1."""
    return lambda n: np.random.default_rng(n).random((n, *shape), "float32")


THREE = features(3)


def case(
    y: Callable[[int], Any],
    *outputs: OutputFacts,
    x: Callable[[int], Any] = THREE,
    inputs: tuple[InputFacts, ...] = (InputFacts("x", (3,), "float32"),),
    weight: Callable[[int], Any] = lambda n: None,
    logged: tuple[str, ...] = ("loss", "accuracy"),
    monitor: str = "val_loss",
    changes: dict[str, Any] | None = None,
    sizes: tuple[int, int] = (NUM_TRAIN, NUM_VALIDATION),
    layers: tuple[str, ...] = (),
    **more: Any,
) -> Case:
    """Build a case whose splits are made by functions of their number of examples.

    What else a Case takes is handed on.
    """
    train, validation = (Split(x(n), y(n), weight(n)) for n in sizes)
    plan = Plan().edit(changes or {})
    model = ModelFacts(inputs, outputs, logged, layers)
    return Case(Data(train, validation), model, plan, monitor, **more)


def one_hot(n: int) -> np.ndarray:
    return np.eye(4)[np.arange(n) % 4]

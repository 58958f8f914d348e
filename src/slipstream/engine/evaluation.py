"""Evaluating the weights that count: averaged ones where the plan averages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


@contextmanager
def weights_for_evaluation(model: Any) -> Iterator[None]:
    """Within it the model holds the weights to judge; afterwards those to train on.

    An exponential moving average is swapped in. Schedule-Free AdamW trains at
    y = (1 - beta_1) * z + beta_1 * x and is judged at its average x.

    Source: Defazio et al., 2024, "The Road Less Scheduled" (arXiv:2405.15682).
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    averaged = _averaged(optimizer)
    if averaged is None:
        yield
        return
    kept = [np.array(variable) for variable in optimizer._trainable_variables]
    for variable, value in zip(optimizer._trainable_variables, averaged, strict=True):
        variable.assign(value)
    try:
        yield
    finally:
        for variable, value in zip(optimizer._trainable_variables, kept, strict=True):
            variable.assign(value)


def _averaged(optimizer: Any) -> list[NDArray[Any]] | None:
    if optimizer.use_ema:
        return [np.array(average) for average in optimizer._model_variables_moving_average]
    if type(optimizer).__name__ == "ScheduleFreeAdamW":
        beta = optimizer.beta_1
        return [
            (np.array(y) - (1.0 - beta) * np.array(z)) / beta
            for y, z in zip(optimizer._trainable_variables, optimizer._momentums, strict=True)
        ]
    return None


def named(values: dict[str, float], prefix: str) -> dict[str, float]:
    """Return the values under prefixed names.

    Example:
        >>> named({"loss": 0.5}, "val_")
        {'val_loss': 0.5}
    """
    return {f"{prefix}{name}": value for name, value in values.items()}

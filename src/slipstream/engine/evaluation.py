"""Evaluating the weights that count: averaged ones where the plan averages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.data.splits import Split
from slipstream.ops.norm_statistics import batches_for_norms, normalizations, renew_norms
from slipstream.ops.optimizers import ScheduleFreeAdamW
from slipstream.plan import Plan


@contextmanager
def weights_for_evaluation(
    model: Any, renew: Callable[[Any], None] | None = None
) -> Iterator[None]:
    """Within it the model holds the weights to judge; afterwards those to train on.

    An average is swapped in, exponential or of snapshots. Schedule-Free AdamW trains at
    y = (1 - beta_1) * z + beta_1 * x and is judged at its average x.

    Args:
        model: The model.
        renew: Computes anew, for weights that were never trained with, what layers keep of the
            batches that they saw; it is undone afterwards.

    Source: Defazio et al., 2024, "The Road Less Scheduled" (arXiv:2405.15682).
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    averaged = _averaged(optimizer)
    if averaged is None:
        yield
        return
    trained = optimizer._trainable_variables
    kept = _values(trained)
    others = list(model.non_trainable_variables)
    kept_others = _values(others)
    _assign(trained, averaged)
    try:
        if renew is not None and _differ(kept, averaged):
            renew(model)
        yield
    finally:
        _assign(trained, kept)
        if renew is not None:
            _assign(others, kept_others)


def norm_renewal(plan: Plan, train: Split) -> Callable[[Any], None] | None:
    """Return what computes BatchNormalization's statistics anew, if the plan asks for that."""
    num_batches = plan.optimizer.norm_batches
    if num_batches == 0:
        return None

    def renew(model: Any) -> None:
        if normalizations(model):
            seed = plan.seeds.seed
            renew_norms(model, batches_for_norms(train.x, plan.batch.size, num_batches, seed))

    return renew


def _averaged(optimizer: Any) -> list[NDArray[Any]] | None:
    if optimizer.use_ema:
        return _values(optimizer._model_variables_moving_average)
    if isinstance(optimizer, ScheduleFreeAdamW | keras.optimizers.ScheduleFreeAdamW):
        beta = optimizer.beta_1
        return [
            (y - (1.0 - beta) * z) / beta
            for y, z in zip(
                _values(optimizer._trainable_variables),
                _values(optimizer._momentums),
                strict=True,
            )
        ]
    return None


def _values(variables: Sequence[Any]) -> list[NDArray[Any]]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _differ(ones: Sequence[NDArray[Any]], others: Sequence[NDArray[Any]]) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(ones, others, strict=True))


def named(values: dict[str, float], prefix: str) -> dict[str, float]:
    """Return the values under prefixed names.

    Example:
        >>> named({"loss": 0.5}, "val_")
        {'val_loss': 0.5}
    """
    return {f"{prefix}{name}": value for name, value in values.items()}

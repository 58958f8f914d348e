"""Hybrid precision: which layers must stay in float32, found by measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.backends import open_looker
from slipstream.data.order import epoch_order
from slipstream.data.splits import Arrays, Split
from slipstream.engine.precision import output_layers, set_policy
from slipstream.plan import Plan

# Gradients in 16 bits may be so far from float32's, as a part of its norm; sound ones are within
# a tenth of it.
TOLERANCE = 0.25
NUM_BATCHES = 2
MOST_EXAMPLES = 32
# One of these suits every net that stays in float16's range; dynamic scaling finds its own.
SCALES = {"mixed_float16": (2.0**10, 2.0**15, 2.0**5, 1.0), "mixed_bfloat16": (1.0,)}
# What layers that draw random numbers call the share that they drop.
RATES = ("rate", "dropout", "recurrent_dropout", "stddev")

Part = TypeVar("Part")


def keep_in_float32(
    model: Any, plan: Plan, train: Split, known: Sequence[int] | None = None
) -> tuple[str, tuple[int, ...]]:
    """Find the layers that 16 bits are too few for, and leave them, and them alone, in float32.

    Args:
        model: A compiled, built model whose loss is the one to judge by; its layers have the
            plan's policy. Its values are left as they are.
        plan: The plan: policy, batch size and seed count.
        train: The training split; a few batches of it are differentiated.
        known: The places of these layers, where they were found before: nothing is measured.

    Returns:
        What was found, in words, and the places of these layers.
    """
    policy = plan.precision.policy
    outputs = [id(layer) for layer in output_layers(model)]
    units = [unit for unit in _units(model) if id(unit) not in outputs]
    batches = [*_batches(train, plan)]

    def is_sound(low: Sequence[Any]) -> bool:
        _set(units, low, policy)
        return any(
            _is_close(_gradient(model, plan, batches, scale), expected) for scale in SCALES[policy]
        )

    if known is None:
        with _still(model):
            _set(units, (), policy)
            expected = _gradient(model, plan, batches, 1.0)
            kept = culprits(units, is_sound)
    else:
        kept = [units[place] for place in known]
    _set(units, [unit for unit in units if unit not in kept], policy)
    names = ", ".join(unit.name for unit in kept)
    found = f"{names}: of" if kept else "none of"
    places = tuple(place for place, unit in enumerate(units) if unit in kept)
    return f"{found} {len(units)} layers, by measurement", places


def culprits(parts: Sequence[Part], is_sound: Callable[[Sequence[Part]], bool]) -> list[Part]:
    """Return the parts to leave out so that the rest is sound, in about log2(n) tests for each.

    Where all parts together are not sound, the shortest beginning that is not sound ends with one
    that has to go.

    Args:
        parts: The parts, in order.
        is_sound: Whether some of them, in their order, are; none of them is taken for sound.

    Example:
        >>> culprits([1, 2, 3, 4, 5], lambda some: not {2, 5} & set(some))
        [2, 5]
    """
    left, found = list(parts), []
    while left and not is_sound(left):
        sound, unsound = 0, len(left)
        while unsound - sound > 1:
            middle = (sound + unsound) // 2
            if is_sound(left[:middle]):
                sound = middle
            else:
                unsound = middle
        found.append(left.pop(unsound - 1))
    return found


def _units(model: Any) -> Iterator[Any]:
    """Yield the layers that have a policy as one, in order: those of models within, one by one."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _units(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer


def _set(units: Sequence[Any], low: Sequence[Any], policy: str) -> None:
    chosen = {id(unit) for unit in low}
    for unit in units:
        set_policy(unit, policy if id(unit) in chosen else "float32")


def _batches(train: Split, plan: Plan) -> Iterator[Arrays]:
    size = min(plan.batch.size, MOST_EXAMPLES, train.num_examples)
    order = epoch_order(train.num_examples, plan.seeds.seed, 0)
    for start in range(0, min(NUM_BATCHES, train.num_examples // size) * size, size):
        yield train.take(order[start : start + size]).parts()


def _gradient(
    model: Any, plan: Plan, batches: Sequence[Arrays], scale: float
) -> list[NDArray[np.float32]]:
    """Return the gradient of each batch, as one vector."""
    # A new one each time: what it compiles has the policies in it.
    looker = open_looker(model, plan.runtime.backend)
    found = [looker.gradient(batch, training=True, scale=scale)[1] for batch in batches]
    return [np.concatenate([part.ravel() for part in parts]) for parts in found]


def _is_close(
    found: Sequence[NDArray[np.float32]], expected: Sequence[NDArray[np.float32]]
) -> bool:
    return all(
        bool(np.all(np.isfinite(one)))
        and float(np.linalg.norm(one - other)) <= TOLERANCE * float(np.linalg.norm(other))
        for one, other in zip(found, expected, strict=True)
    )


@contextmanager
def _still(model: Any) -> Iterator[None]:
    """Within it layers drop nothing: what they draw may be another in another format."""
    kept = [
        (layer, name, vars(layer)[name])
        for layer in model._flatten_layers()
        for name in RATES
        if isinstance(vars(layer).get(name), float)
    ]
    for layer, name, _ in kept:
        setattr(layer, name, 0.0)
    try:
        yield
    finally:
        for layer, name, value in kept:
            setattr(layer, name, value)

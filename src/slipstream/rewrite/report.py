"""What a rewrite did to a model: parameters and multiply-adds before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from slipstream.rewrite.counting import count_multiply_adds
from slipstream.rewrite.graph import graph_behind


@dataclass(frozen=True)
class Change:
    """What a rewrite did.

    Args:
        what: What it did, in words.
        parameters: Of the model before and after.
        multiply_adds: Of one example's forward pass, before and after; None where they cannot be
            counted.

    Example:
        >>> str(Change("2 -> 4 blocks", (1_000, 2_000), (900, 1_800)))
        '2 -> 4 blocks; parameters 1,000 -> 2,000 (+100 %), multiply-adds 900 -> 1,800 (+100 %)'
    """

    what: str
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int] | None

    def __str__(self) -> str:
        words = f"{self.what}; parameters {_change(self.parameters)}"
        if self.multiply_adds is None:
            return words
        return f"{words}, multiply-adds {_change(self.multiply_adds)}"


class Counter:
    """Counts a model now and then, each state of it once.

    Args:
        model: A built Keras model.
        x: Inputs as it takes them; those that its graph says if None.
    """

    def __init__(self, model: Any, x: Any = None) -> None:
        self._x = x
        self._last = self._counted(model)

    def changed(self, model: Any, what: str, *, recount: bool = True) -> Change:
        """Return what has changed since the last time."""
        before = self._last
        if recount:
            self._last = self._counted(model)
        (num_before, work_before), (num_after, work_after) = before, self._last
        if work_before is None or work_after is None:
            return Change(what, (num_before, num_after), None)
        return Change(what, (num_before, num_after), (work_before, work_after))

    def _counted(self, model: Any) -> tuple[int, int | None]:
        try:
            x = _inputs(model) if self._x is None else self._x
            return model.count_params(), count_multiply_adds(model, x)
        except Exception:
            # Custom layers may refuse to be looked at: the rewrite stands all the same.
            return model.count_params(), None


def reported(rewrite: Callable[..., tuple[Any, str]], model: Any, *args: Any) -> tuple[Any, Change]:
    """Return the model that a rewrite returns, and what it did."""
    counter = Counter(model)
    new, what = rewrite(model, *args)
    return new, counter.changed(new, what)


def _inputs(model: Any) -> Any:
    return keras.tree.map_structure(
        lambda tensor: keras.KerasTensor((1, *tensor.shape[1:]), tensor.dtype),
        graph_behind(model)._inputs_struct,
    )


def _change(values: tuple[int, int]) -> str:
    before, after = values
    share = f" ({100 * (after / before - 1):+.3g} %)" if before and after != before else ""
    return f"{before:,} -> {after:,}{share}" if after != before else f"{before:,} as before"

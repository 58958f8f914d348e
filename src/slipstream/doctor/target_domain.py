"""Refuses targets for which a loss is not made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from slipstream.data.splits import Array
from slipstream.doctor._arrays import Part, bad_rows, chunks, fits, is_floating, targets_of
from slipstream.doctor._case import Case, Finding
from slipstream.doctor._losses import differ_by_trailing_one


@dataclass(frozen=True)
class _Domain:
    """What targets of a loss are, which are none, and what to do about them."""

    wanted: str
    outside: Callable[[Array], Array]
    mend: str


def _negative(rows: Array) -> Array:
    return np.asarray(rows < 0)


def _zero(rows: Array) -> Array:
    return np.asarray(rows == 0)


def _no_share(rows: Array) -> Array:
    return np.asarray((rows < 0) | (rows > 1))


def _no_sign(rows: Array) -> Array:
    return np.asarray((rows != -1) & (rows != 1))


def _no_bit(rows: Array) -> Array:
    return np.asarray((rows != 0) & (rows != 1))


_NOT_BELOW = _Domain(
    "targets of 0 or more", _negative, "Mend them, or use a loss for any number, such as 'mse'."
)
_SHARES = _Domain(
    "shares of the classes, from 0 to 1, as targets",
    _no_share,
    "Divide each row by its sum, or use a regression loss such as 'mse'.",
)
_ABOVE_ALL = _Domain(
    "targets of 0 or more",
    _negative,
    "Give shares of the classes: a negative one lets the loss fall without end.",
)
_SIGNS = _Domain(
    "targets -1 and 1, or 0 and 1 alone",
    _no_sign,
    "Use y = numpy.where(y == POSITIVE, 1, -1) with the number of the positive class.",
)
_NOT_ZERO = _Domain(
    "targets other than 0",
    _zero,
    "Use 'mae' or 'msle': an error in percent of 0 is a division by zero.",
)

DOMAINS: Mapping[str, _Domain] = {
    "CategoricalCrossentropy": _ABOVE_ALL,
    "CategoricalFocalCrossentropy": _ABOVE_ALL,
    "CategoricalHinge": _SHARES,
    "Hinge": _SIGNS,
    "KLDivergence": _SHARES,
    "MeanAbsolutePercentageError": _NOT_ZERO,
    "MeanSquaredLogarithmicError": _NOT_BELOW,
    "Poisson": _NOT_BELOW,
    "SquaredHinge": _SIGNS,
}


def check(case: Case) -> Iterator[Finding]:
    """Refuse counts below 0, distributions with negative shares, hinge labels other than -1 and 1.

    Poisson's loss of a negative count has no lower bound; logarithms and divergences cut negative
    targets off at 0; a percentage of 0 is divided by a number near 0; hinge losses take 0 and 1 for
    -1 and 1 only where a batch holds nothing else. All of it silently, on all backends.
    """
    for part, output in targets_of(case):
        domain = DOMAINS.get(output.loss)
        is_alike = fits(part.shape, output.shape) or differ_by_trailing_one(
            part.shape, output.shape
        )
        if domain is None or not is_alike or (domain is _SIGNS and _are_bits(part)):
            continue
        rows = bad_rows(part, lambda values, domain=domain: _finite(values, domain.outside))  # type: ignore[misc]
        if rows.num_bad:
            example = _first_outside(part, rows.position, domain)
            yield Finding(
                "target_domain",
                "error",
                f"{domain.wanted} for the loss {output.loss}",
                f"others, like {example:g}, in {rows} in {part.place}",
                domain.mend,
            )


def _are_bits(part: Part) -> bool:
    return not any(_finite(rows, _no_bit).any() for _, rows in chunks(part.array))


def _finite(rows: Array, is_outside: Callable[[Array], Array]) -> Array:
    mask = is_outside(rows)
    return np.asarray(mask & np.isfinite(rows) if is_floating(rows.dtype) else mask)


def _first_outside(part: Part, row: int, domain: _Domain) -> float:
    values = np.atleast_1d(part.array[row])
    return float(values[_finite(values, domain.outside)][0])

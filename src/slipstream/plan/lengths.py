"""Lengths within a run: fractions of it, optimizer updates ("500 steps") or epochs ("2 epochs")."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from slipstream.errors import PlanError

_LENGTH = re.compile(r"\s*(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*(steps?|epochs?)?\s*", re.IGNORECASE)


def spelt_length(text: Any) -> str:
    """Return a length in steps or epochs, spelt as plans spell it.

    Example:
        >>> spelt_length(" 1 Epochs"), spelt_length("500steps"), spelt_length("2.50 epochs")
        ('1 epoch', '500 steps', '2.5 epochs')
    """
    found = _LENGTH.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[2] is None or float(found[1]) == 0:
        raise PydanticCustomError("length", "Input should be text like '500 steps' or '2 epochs'")
    number, unit = float(found[1]), found[2].lower().rstrip("s")
    if unit == "step" and number != int(number):
        raise PydanticCustomError("length", "Input should be a whole number of steps")
    shown = str(int(number)) if number == int(number) else repr(number)
    return f"{shown} {unit}" if number == 1 else f"{shown} {unit}s"


def spelt_pieces(text: Any) -> str:
    """Return the pieces of a piecewise constant schedule, spelt as plans spell them.

    Each is a length from the start of the run and the factor of the peak that holds from there.

    Example:
        >>> spelt_pieces("0.5:0.1,  30 epoch : 1e-2")
        '0.5: 0.1, 30 epochs: 0.01'
    """
    if not isinstance(text, str):
        raise PydanticCustomError("pieces", _PIECES)
    return ", ".join(_spelt_piece(piece) for piece in text.split(","))


_PIECES = "Input should be text like '0.5: 0.1, 0.75: 0.01', each a length and a factor up to 1"


def _spelt_piece(piece: str) -> str:
    start, _, factor = piece.partition(":")
    try:
        number = float(factor)
        fraction = _LENGTH.fullmatch(start)
        is_fraction = fraction is not None and fraction[2] is None and 0 < float(fraction[1]) < 1
        at = repr(float(start)) if is_fraction else spelt_length(start)
    except (ValueError, PydanticCustomError):
        raise PydanticCustomError("pieces", _PIECES) from None
    if not 0 < number <= 1:
        raise PydanticCustomError("pieces", _PIECES)
    return f"{at}: {number!r}"


# Steps and epochs are text: a bare number is a fraction of the run.
InUnits = Annotated[str, PlainValidator(spelt_length)]
Pieces = Annotated[str, PlainValidator(spelt_pieces)]
# A part of a run, and one that may be left out.
Length = Annotated[float, Field(gt=0.0, le=1.0)] | InUnits
LengthOrNone = Annotated[float, Field(ge=0.0, lt=1.0)] | InUnits


def pieces_of(text: str) -> list[tuple[float | str, float]]:
    """Return (length from the start, factor) of each piece.

    Example:
        >>> pieces_of("0.5: 0.1, 30 epochs: 0.01")
        [(0.5, 0.1), ('30 epochs', 0.01)]
    """
    pairs = [piece.split(": ") for piece in text.split(", ")]
    return [(at if " " in at else float(at), float(factor)) for at, factor in pairs]


def as_fraction(
    length: float | str, total_updates: int, updates_per_epoch: float | None, key: str
) -> float:
    """Return a length as a fraction of the run; above 1 where it is longer than the run.

    Args:
        length: A fraction, or text with a unit.
        total_updates: Optimizer updates of the run.
        updates_per_epoch: Optimizer updates of one epoch; None where that is not known.
        key: The plan's key, for the message.

    Raises:
        PlanError: The length is in epochs and the run has none.

    Example:
        >>> as_fraction("2 epochs", 100, 10, "schedule.warmup")
        0.2
    """
    if not isinstance(length, str):
        return length
    number, unit = length.split()
    if unit.startswith("step"):
        return float(number) / total_updates
    if updates_per_epoch is None:
        raise PlanError(
            f"the number of updates per epoch for {key} = '{length}'",
            "a number of updates alone",
            "Say how many updates an epoch has (--updates-per-epoch, updates_per_epoch), or give "
            "the length in steps or as a fraction.",
            code="SLP-108",
        )
    return float(number) * updates_per_epoch / total_updates

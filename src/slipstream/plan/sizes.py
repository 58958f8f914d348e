"""Amounts of memory: bytes, or text like "512MiB"."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]i?)?b?\s*", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_FACTORS = {**_UNITS, **_BINARY}
_SHOWN = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))


def spelt_size(value: Any) -> str:
    """Return an amount of memory, spelt as plans spell it.

    Example:
        >>> spelt_size(" 512 mib"), spelt_size(2**30), spelt_size("1.5GB"), spelt_size("auto")
        ('512MiB', '1GiB', '1500000000B', 'auto')
    """
    if value == "auto":
        return "auto"
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    num_bytes = round(float(found[1]) * _FACTORS[(found[2] or "").lower()]) if found else 0
    if num_bytes <= 0:
        raise PydanticCustomError("size", "Input should be bytes, text like '512MiB', or 'auto'")
    unit, factor = next(pair for pair in _SHOWN if num_bytes % pair[1] == 0)
    return f"{num_bytes // factor}{unit}"


def bytes_of(text: str) -> int:
    """Return the bytes of a size as plans spell it.

    Example:
        >>> bytes_of("512MiB")
        536870912
    """
    found = _SIZE.fullmatch(text)
    assert found is not None, text
    return round(float(found[1]) * _FACTORS[(found[2] or "").lower()])


Size = Annotated[str, PlainValidator(spelt_size)]

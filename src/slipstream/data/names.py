"""Names of classes in a column of targets, and numbers that only look like names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slipstream.data.extras import needed
from slipstream.data.nests import Array
from slipstream.errors import DataError

# Of a column of names few are numbers ("0" to "9" beside "a" to "f"), of a column of numbers few
# are not.
LARGEST_SHARE = 0.75
LONGEST_NUMBER = 40
# 1,234.5 and 1.234,5 and 3,5; 45% and $12; 12/31/2020 and 2020-12-31.
FORMATTED = re.compile(
    r"[-+]?[$€£]?(\d{1,3}([,. ']\d{3})+([.,]\d+)?|\d*[.,]?\d+) ?[%$€£]?"
    r"|\d{1,2}([/.-])\d{1,2}\4(\d{4}|\d\d)|\d{4}([/.-])\d{1,2}\6\d{1,2}"
)


def numbered(column: Any, name: str, path: Path) -> Array:
    """Return the places of values in their sorted order; each is looked at once.

    Args:
        column: A column of words, as Arrow has it, without gaps.
        name: Its name.
        path: Its file.

    Raises:
        DataError: Its values are numbers that are not written as such, or beside some words.
    """
    if not needed("pyarrow").types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = column.unify_dictionaries().combine_chunks()
    # A single chunk stays one of several.
    words = words.chunk(0) if hasattr(words, "chunk") else words
    values, codes = words.dictionary.to_pylist(), words.indices.to_numpy()
    used = np.unique(codes)
    _refuse_numbers(values, codes, used, f"column '{name}' of {path}")
    order = {value: place for place, value in enumerate(sorted({values[code] for code in used}))}
    places = np.array([order.get(value, -1) for value in values], np.int64)
    numbers: Array = places[codes]
    return numbers


def _refuse_numbers(values: Sequence[Any], codes: Array, used: Array, place: str) -> None:
    """Refuse what is no column of names: sorted as words, numbers would mean nothing."""
    likely = np.array([isinstance(value, str) and _looks_like_number(value) for value in values])
    share = max(likely[used].mean(), likely[codes].mean())
    # Numbers of classes may be written as words.
    if share <= LARGEST_SHARE or all(str(values[code]).isdigit() for code in used):
        return
    plain = np.array([_is_plain(value) for value in values])
    odd = np.flatnonzero(~plain[codes])
    row = int(odd[0]) if len(odd) else 0
    came = f"no plain number in {len(odd)} of {len(codes)} rows" if len(odd) else "words"
    raise DataError(
        f"numbers, or names of classes, in {place}",
        f"{came}, like {str(values[codes[row]])[:20]!r} in row {row}",
        "Mend these rows, or leave them out, and write numbers like 1234.5. Where values are names"
        " of classes, begin each with a letter.",
        code="SLP-315",
    )


def _looks_like_number(word: str) -> bool:
    text = word.strip()
    is_short = len(text) <= LONGEST_NUMBER
    return is_short and (_is_plain(text) or FORMATTED.fullmatch(text) is not None)


def _is_plain(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True

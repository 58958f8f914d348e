"""Refuses what is not an array of numbers: strings, objects, lists, dates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slipstream.doctor._arrays import Part, all_leaves, usable
from slipstream.doctor._case import Case, Finding


def check(case: Case) -> Iterator[Finding]:
    """Refuse leaves that are not arrays of real numbers with an axis of examples.

    Keras fails on each backend with another message about a dtype ("Invalid dtype: str32",
    "could not convert string to float"), which names neither the split nor the remedy. Strings
    that feed an input of dtype "string" are left alone.
    """
    takes_strings = any(facts.dtype == "string" for facts in case.model.inputs)
    for part in all_leaves(case):
        if usable(part) or (takes_strings and part.role == "inputs" and _is_text(part)):
            continue
        came, mend = _explain(part)
        yield Finding("array_types", "error", "arrays of numbers", f"{came} in {part.place}", mend)


def _is_text(part: Part) -> bool:
    return isinstance(part.array, np.ndarray) and part.array.dtype.kind in "USOT"


def _explain(part: Part) -> tuple[str, str]:
    array = part.array
    if not isinstance(array, np.ndarray):
        return f"{type(array).__name__}", "Turn it into an array with numpy.asarray."
    if array.ndim == 0:
        return (
            "single numbers in place of arrays",
            "Turn lists of numbers into arrays with numpy.asarray.",
        )
    if array.dtype.kind in "UST" or _first_is_text(part):
        example = f"text like {str(array.flat[0])[:20]!r}" if array.size else "text"
        if part.role == "targets":
            mend = "Number the labels: names, y = numpy.unique(y, return_inverse=True)."
        else:
            mend = "Turn text into numbers first, or give the model an input of dtype 'string'."
        return example, mend
    if array.dtype.kind == "O":
        return (
            "Python objects (dtype object)",
            "Give all rows one length and convert them with array.astype('float32').",
        )
    return f"values of dtype {array.dtype}", "Convert them to integers or floats."


def _first_is_text(part: Part) -> bool:
    array = part.array
    return array.dtype.kind == "O" and array.size > 0 and isinstance(array.flat[0], str | bytes)

"""Refuses arrays that do not match the model's inputs and outputs in number or name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from slipstream.data import leaves
from slipstream.data.splits import Arrays
from slipstream.doctor._arrays import splits
from slipstream.doctor._case import Case, Finding

MEND = "Give the arrays in this order as a tuple, or as a dict with these names."
PAIR = (
    " A pair of tuples from load_data, (a, b), (c, d), is read as (x, y) of training and (x, y) of"
    " validation: return slipstream.Split((a, b), (c, d)), or a pair of dicts."
)


def check(case: Case) -> Iterator[Finding]:
    """Refuse inputs and targets of which one is missing, misnamed or too many.

    Keras reports different structures ("y_true: ('*', '*') y_pred: *") or tries to turn a name
    into a number. Inputs that the model does not use, given by name, are left alone, as in Keras.
    """
    inputs = [facts.name for facts in case.model.inputs]
    outputs = [facts.name for facts in case.model.outputs]
    for split_name, split in splits(case):
        for role, noun, arrays, names in (
            ("inputs", "input", split.x, inputs),
            ("targets", "output", split.y, outputs),
        ):
            came = _mismatch(arrays, names, extra_is_fine=role == "inputs")
            if came:
                yield Finding(
                    "structure",
                    "error",
                    f"one array for each {noun} of the model: {_listed(names)}",
                    f"{came} in the {role} of the {split_name} split",
                    MEND + (PAIR if _may_be_two_splits(case) else ""),
                )


def _may_be_two_splits(case: Case) -> bool:
    """Whether one array came for several inputs, and one for several outputs."""
    train = case.data.train
    pairs = ((case.model.inputs, train.x), (case.model.outputs, train.y))
    return all(
        len(facts) > 1 and not isinstance(arrays, Mapping) and len(list(leaves(arrays))) == 1
        for facts, arrays in pairs
    )


def _mismatch(arrays: Arrays, names: Sequence[str], extra_is_fine: bool) -> str:
    """Say how the arrays differ from the names; empty when they match."""
    if not isinstance(arrays, Mapping):
        count = len(list(leaves(arrays)))
        return "" if count == len(names) else f"{count} array{'s' if count != 1 else ''}"
    missing = [name for name in names if name not in arrays]
    extra = [str(name) for name in arrays if name not in names]
    if missing:
        return f"no {_listed(missing)}" + (f" but {_listed(extra)}" if extra else "")
    return f"also {_listed(extra)}" if extra and not extra_is_fine else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)

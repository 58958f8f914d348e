"""The part of a script that loads the data, in the form in which the task's loader gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slipstream.data.pipelines import kind_of
from slipstream.data.splits import VALIDATION_SEED, VALIDATION_SHARE, Data, Split, leaves, to_data
from slipstream.errors import TaskError

SPLITS = ("train", "validation", "test")
# Where the task's own expression for its loader goes.
CALL = "@data@()"

SET_APART = f'''
def set_apart(split):
    """Set a fixed, shuffled part of the examples apart for validation."""
    num_examples = len(keras.tree.flatten(split)[0])
    order = np.random.default_rng({VALIDATION_SEED}).permutation(num_examples)
    num_apart = round(num_examples * {VALIDATION_SHARE})
    rest, apart = order[num_apart:], order[:num_apart]
    return (
        keras.tree.map_structure(lambda array: array[rest], tuple(split)),
        keras.tree.map_structure(lambda array: array[apart], tuple(split)),
    )
'''


@dataclass(frozen=True)
class Loading:
    """How a script loads its data: lines that bind train, validation and perhaps test.

    `weighted` are the splits that come with sample weights, `num_train` the training examples.
    """

    lines: tuple[str, ...]
    weighted: frozenset[str]
    has_test: bool
    num_train: int = 0

    @property
    def definitions(self) -> list[str]:
        """The functions that the lines need."""
        return [SET_APART] if any("set_apart(" in line for line in self.lines) else []


def loading(loaded: Any) -> Loading:
    """Look at what a task's loader returned and say how a script takes it apart.

    Raises:
        DataError: It is not what a task's loader may return.

    Example:
        >>> pair = (np.zeros((5, 2)), np.zeros(5))
        >>> loading((pair, pair)).lines
        ('train, validation = @data@()',)
    """
    _refuse_pipelines(loaded)
    data = to_data(loaded)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    present = {name: split for name, split in splits.items() if split is not None}
    lines = _bindings(loaded)
    if not all(isinstance(array, np.ndarray) for array in _arrays(loaded)):
        names = ", ".join(present)
        lines.append(f"{names} = keras.tree.map_structure(np.asarray, ({names}))")
    weighted = frozenset(n for n, split in present.items() if split.sample_weight is not None)
    return Loading(tuple(lines), weighted, data.test is not None, data.train.num_examples)


def _refuse_pipelines(loaded: Any) -> None:
    """Refuse what is read batch by batch: a script would need all of the reader's code."""
    parts = list(loaded.values()) if isinstance(loaded, Mapping) else loaded
    for part in parts if isinstance(parts, tuple | list) else [loaded]:
        kind = kind_of(part)
        if kind:
            raise TaskError(
                "data that a plain script loads as arrays, or as a folder of images",
                f"a {kind} from the task's data function",
                "Return arrays, or a source of slipstream.data, to eject the plan.",
                code="SLP-803",
            )


def _bindings(loaded: Any) -> list[str]:
    """Return the lines for each of the forms that `slipstream.data.to_data` takes."""
    if isinstance(loaded, Data):
        by_name = {name: getattr(loaded, name) for name in SPLITS}
        return [f"data = {CALL}", *_named(by_name, "data.{}")]
    if isinstance(loaded, Mapping) and "train" in loaded:
        by_name = {name: loaded.get(name) for name in SPLITS}
        return [f"data = {CALL}", *_named(by_name, 'data["{}"]')]
    if isinstance(loaded, Split) or not all(_is_split(part) for part in loaded):
        taken = _fields("train", loaded)
        changed = [] if taken == "train" else [f"train = {taken}"]
        return [f"train = {CALL}", *changed, "train, validation = set_apart(train)"]
    names = SPLITS[: len(loaded)]
    fields = [
        f"{name} = {_fields(name, part)}"
        for name, part in zip(names, loaded, strict=True)
        if _fields(name, part) != name
    ]
    return [f"{', '.join(names)} = {CALL}", *fields]


def _named(by_name: Mapping[str, Any], place: str) -> list[str]:
    lines = [
        f"{name} = {_fields(place.format(name), part)}"
        for name, part in by_name.items()
        if part is not None
    ]
    if by_name["validation"] is None:
        lines.append("train, validation = set_apart(train)")
    return lines


def _fields(place: str, part: Any) -> str:
    if not isinstance(part, Split):
        return f"{place}[:2]" if len(part) == 3 and part[2] is None else place
    weights = f", {place}.sample_weight" if part.sample_weight is not None else ""
    return f"({place}.x, {place}.y{weights})"


def _is_split(part: Any) -> bool:
    return isinstance(part, Split) or (isinstance(part, tuple | list) and len(part) in (2, 3))


def _arrays(loaded: Any) -> Iterator[Any]:
    """Yield the arrays as the loader gave them, before anything was turned into NumPy's."""
    if isinstance(loaded, Data):
        loaded = (loaded.train, loaded.validation, loaded.test)
    if isinstance(loaded, Split):
        yield from leaves(loaded.parts())
    elif isinstance(loaded, Mapping):
        for part in loaded.values():
            yield from _arrays(part)
    elif isinstance(loaded, tuple | list):
        for part in loaded:
            yield from _arrays(part)
    elif loaded is not None:
        yield loaded

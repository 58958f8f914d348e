"""The arrays of a case by name, matched to the model, and scanned in pieces that fit the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slipstream.data import Split, leaves
from slipstream.data.columns import Column
from slipstream.data.images import ImageFiles
from slipstream.data.splits import Array, Arrays
from slipstream.doctor._case import Case
from slipstream.task import InputFacts, OutputFacts

CHUNK_ELEMENTS = 1 << 18
NUM_ROWS_SHOWN = 3

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Part:
    """One array of a case and the words for its place.

    `rows` are the numbers that its examples have in the user's own arrays, or None.
    """

    split: str
    role: str
    name: str
    # Any, for what came may not be an array; `usable` tells.
    array: Any
    rows: Array | None = None

    @property
    def place(self) -> str:
        """Like "the targets 'age' of the validation split"."""
        name = f" '{self.name}'" if self.name else ""
        return f"the {self.role}{name} of the {self.split} split"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.array.shape[1:])


@dataclass(frozen=True)
class Rows:
    """The rows in which something is wrong: how many of how many, and the first few.

    `first` are numbers in the user's own arrays; `position` is where in this array the first bad
    row found is.
    """

    num_bad: int
    num_rows: int
    first: tuple[int, ...]
    position: int = 0
    is_split_off: bool = False

    def __str__(self) -> str:
        shown = ", ".join(str(row) for row in self.first)
        more = ", ..." if self.num_bad > len(self.first) else ""
        rows = "row" if self.num_bad == 1 else "rows"
        whole = " of the data before the split" if self.is_split_off else ""
        return f"{self.num_bad} of {self.num_rows} examples ({rows} {shown}{more}{whole})"


def splits(case: Case) -> Iterator[tuple[str, Split]]:
    """Yield the splits that exist, with their names."""
    yield "training", case.data.train
    if case.has_validation:
        yield "validation", case.data.validation
    if case.data.test is not None:
        yield "test", case.data.test


def roles(split: Split) -> Iterator[tuple[str, Arrays]]:
    """Yield inputs, targets and weights, with the words for them."""
    yield "inputs", split.x
    yield "targets", split.y
    yield "sample weights", split.sample_weight


def all_leaves(case: Case) -> Iterator[Part]:
    """Yield every leaf of the data as it came, be it an array that can be trained on or not."""
    for split_name, split in splits(case):
        for role, arrays in roles(split):
            yield from _named(split_name, role, arrays, split.rows)


def image_folders(case: Case) -> Iterator[tuple[str, ImageFiles]]:
    """Yield the folders of images that examples come from, each once, with its first split."""
    seen: set[int] = set()
    for name, split in splits(case):
        found: list[Any] = list(leaves(split.x))
        for leaf in found:
            source = leaf.source if isinstance(leaf, Column) else None
            if isinstance(source, ImageFiles) and id(source) not in seen:
                seen.add(id(source))
                yield name, source


def usable(part: Part) -> bool:
    """Whether a leaf is an array of numbers with an axis of examples; the rest is refused once."""
    array = part.array
    is_array = isinstance(array, np.ndarray | Column)
    return is_array and array.ndim > 0 and is_number(array.dtype)


def is_number(dtype: np.dtype[Any]) -> bool:
    """Whether values of the dtype are real numbers; bfloat16 is, though NumPy calls it void."""
    return dtype.kind in "biuf" or dtype.name == "bfloat16"


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether a value of the dtype can be NaN, infinite or a fraction."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def inputs_of(case: Case) -> Iterator[tuple[Part, InputFacts]]:
    """Yield every usable input array beside the model's input that it feeds."""
    for split_name, split in splits(case):
        for facts, array in _match(split.x, case.model.inputs):
            part = Part(split_name, "inputs", _label(facts, case.model.inputs), array, split.rows)
            if usable(part):
                yield part, facts


def targets_of(case: Case) -> Iterator[tuple[Part, OutputFacts]]:
    """Yield every usable, non-empty target array beside the model's output it is compared with."""
    for split_name, split in splits(case):
        for facts, array in _match(split.y, case.model.outputs):
            part = Part(split_name, "targets", _label(facts, case.model.outputs), array, split.rows)
            if usable(part) and part.array.size:
                yield part, facts


def weights_of(case: Case) -> Iterator[tuple[Part, OutputFacts]]:
    """Yield every usable array of weights beside each output whose loss it weighs."""
    for split_name, split in splits(case):
        outputs = case.model.outputs
        weights = split.sample_weight
        single = not isinstance(weights, Mapping | tuple | list)
        pairs = [(facts, weights) for facts in outputs] if single else _match(weights, outputs)
        for facts, array in pairs:
            part = Part(split_name, "sample weights", _label(facts, outputs), array, split.rows)
            if usable(part):
                yield part, facts


def chunks(array: Array | Column) -> Iterator[tuple[int, Array]]:
    """Yield (first row, rows) pieces of an array; of what lies in files, some rows only."""
    if isinstance(array, Column):
        for place, row in zip(*array.sample, strict=True):
            yield int(place), row[None]
        return
    per_row = max(1, array[:1].size)
    step = max(1, CHUNK_ELEMENTS // per_row)
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


def bad_rows(part: Part, is_bad: Callable[[Array], Array]) -> Rows:
    """Find the rows of an array in which a mask holds anywhere.

    Example:
        >>> labels = np.array([0, 5, 1, 7])
        >>> print(bad_rows(Part("training", "targets", "", labels), lambda rows: rows > 4))
        2 of 4 examples (rows 1, 3)
    """
    found = list[Array]()
    for start, rows in chunks(part.array):
        mask = is_bad(rows)
        if mask.any():
            found.append(np.flatnonzero(mask.reshape(len(rows), -1).any(axis=1)) + start)
    if not found:
        return Rows(0, len(part.array), ())
    return rows_at(part, np.concatenate(found))


def rows_at(part: Part, bad: Array) -> Rows:
    """Return rows of an array, one or more, by the numbers that they have in the user's own."""
    # Arrays of different lengths are another check's, but they come by here too.
    is_split_off = part.rows is not None and len(part.rows) == len(part.array)
    own = np.sort(part.rows[bad]) if part.rows is not None and is_split_off else bad
    first = tuple(int(row) for row in own[:NUM_ROWS_SHOWN])
    return Rows(len(bad), len(part.array), first, int(bad[0]), is_split_off)


def share_in_words(count: float, whole: float) -> str:
    """Write a share in percent, as roughly as it matters.

    Example:
        >>> share_in_words(1, 3), share_in_words(1, 2000), share_in_words(1, 10**6)
        ('33 %', '0.05 %', 'under 0.01 %')
    """
    percent = 100 * count / whole
    if 0 < percent < 0.01:
        return "under 0.01 %"
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def values_in(parts: Iterable[Part], left_out: int | None = None) -> tuple[float, ...]:
    """Return the finite values that occur, each once, in rising order; all but the one left out.

    Example:
        >>> values_in([Part("training", "targets", "", np.array([1, -1, 1, 255]))], left_out=255)
        (-1.0, 1.0)
    """
    found = np.empty(0)
    for part in parts:
        for _, rows in chunks(part.array):
            values = rows.astype(np.float64)
            found = np.union1d(found, values[np.isfinite(values) & (values != left_out)])
    return tuple(found.tolist())


def fits(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether two shapes are equal; None is free."""
    return len(shape) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True)
    )


def in_words(shape: Sequence[int | None]) -> str:
    """Write the shape of a batch: (N, 28, 28); free axes are '?'.

    Example:
        >>> in_words((28, None)), in_words(())
        ('(N, 28, ?)', '(N,)')
    """
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"({', '.join(['N', *sizes])})" if sizes else "(N,)"


def _label(facts: InputFacts | OutputFacts, siblings: Sequence[Any]) -> str:
    return facts.name if len(siblings) > 1 else ""


def _match(arrays: Arrays, facts: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Pair arrays with inputs or outputs by name or position; nothing where that cannot be."""
    if isinstance(arrays, Mapping):
        return [(fact, arrays[fact.name]) for fact in facts if fact.name in arrays]
    found = list(leaves(arrays))
    return list(zip(facts, found, strict=True)) if len(found) == len(facts) else []


def _named(split: str, role: str, arrays: Arrays, rows: Array | None) -> Iterator[Part]:
    if isinstance(arrays, Mapping):
        for name, inner in arrays.items():
            for array in leaves(inner):
                yield Part(split, role, str(name), array, rows)
        return
    found = list(leaves(arrays))
    for position, array in enumerate(found):
        yield Part(split, role, str(position) if len(found) > 1 else "", array, rows)

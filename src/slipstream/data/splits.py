"""Data as values: a split is inputs, targets and weights; a data set is up to three splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from slipstream.data.columns import Column, as_array, choose, columns_in
from slipstream.data.extras import needed
from slipstream.data.in_one_row import refuse_in_one_row
from slipstream.data.nests import Array, Arrays, leaves, map_arrays
from slipstream.data.pipelines import kind_of, read_once
from slipstream.errors import DataError

__all__ = ["Array", "Arrays", "Data", "Split", "leaves", "map_arrays", "to_data"]

VALIDATION_SHARE = 0.2
VALIDATION_SEED = 20_240_101
PIECE_BYTES = 1 << 23


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Args:
        x: Inputs: an array of shape (N, ...), or a tuple, list or dict of them. Arrays of
            examples that are decoded when they are asked for are arrays, too.
        y: Targets, in the same forms.
        sample_weight: Weights of shape (N,), or None.
        rows: Which row of the user's own arrays each example was, of shape (N,), int64; None
            where the split holds them as they were given. Only messages read it.

    Example:
        >>> Split(np.arange(4), np.arange(4)).take(np.array([3, 1])).rows.tolist()
        [3, 1]
    """

    x: Arrays
    y: Arrays
    sample_weight: Arrays = None
    rows: Array | None = None

    @property
    def num_examples(self) -> int:
        """The number of examples; 0 when there is no array."""
        return next((len(array) for array in leaves(self.x)), 0)

    def take(self, indices: Array) -> Split:
        """Return the split with only the examples at the indices, in their order, in memory."""
        return self._mapped(lambda array: array[indices], indices)

    def choose(self, indices: Array) -> Split:
        """Return what `take` returns; what does not lie in memory is not read for it yet."""
        return self._mapped(lambda array: choose(array, indices), indices)

    def parts(self) -> tuple[Arrays, Arrays, Arrays]:
        """Return inputs, targets and weights, as Keras takes them."""
        return self.x, self.y, self.sample_weight

    def _mapped(self, function: Callable[[Array], Any], indices: Array) -> Split:
        x, y, weights = (map_arrays(function, part) for part in self.parts())
        return Split(x, y, weights, self._rows_at(indices))

    def _rows_at(self, indices: Array) -> Array:
        if self.rows is not None:
            return np.asarray(self.rows[indices])
        is_positions = isinstance(indices, np.ndarray) and indices.dtype.kind in "iu"
        return indices if is_positions else np.arange(self.num_examples)[indices]


@dataclass(frozen=True)
class Data:
    """A data set: choices are made on validation; test is read once, at the end."""

    train: Split
    validation: Split
    test: Split | None = None

    def digest(self) -> str:
        """Return 16 hexadecimal characters that are equal for equal data.

        The arrays are read the first time only; nobody changes them in place. Of files that are
        decoded while training, names, sizes and the bytes of some count.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for split in (self.train, self.validation, self.test):
            arrays: list[Any] = list(leaves(split.parts())) if split else []
            for array in arrays:
                digest.update(str((array.dtype.str, array.shape)).encode())
                if isinstance(array, Column):
                    for part in array.identity():
                        digest.update(part)
                    continue
                for piece in _pieces(array):
                    digest.update(_bytes(piece))
        return digest.hexdigest()


def to_data(loaded: Any) -> Data:
    """Turn what a task's loader returned into Data.

    Accepts Data; a pair (x, y); two or three such pairs (train, validation, test); or a dict
    with the keys train, validation and test. Where validation is missing, a fixed, shuffled
    20 % of the training examples is set apart. A pair of tuples is two splits: for several inputs
    and outputs and no validation split return a Split. In the place of a pair, what hands out
    batches in `Model.fit` is taken too: a `tf.data.Dataset`, a Grain dataset, a torch `DataLoader`,
    a `keras.utils.PyDataset`; it is read once.

    Raises:
        DataError: The loader returned something else.
    """
    if isinstance(loaded, Data):
        return loaded
    refuse_in_one_row(loaded)
    if isinstance(loaded, Mapping) and "train" in loaded:
        parts = [loaded.get(name) for name in ("train", "validation", "test")]
    elif _is_list_of_splits(loaded):
        parts = [*loaded, None, None][:3]
    elif _is_split(loaded):
        parts = [loaded, None, None]
    else:
        raise DataError(
            "the data loader to return (x, y), or (x_train, y_train), (x_val, y_val)",
            f"{type(loaded).__name__}",
            "Return a tuple of pairs of arrays, or a slipstream.Data; wrap a generator in a"
            " keras.utils.PyDataset.",
            code="SLP-301",
        )
    train, validation, test = (None if part is None else _to_split(part) for part in parts)
    if train is None:
        raise DataError("training data", "none", "Return it under 'train'.", code="SLP-302")
    if validation is None:
        train, validation = set_apart(train, VALIDATION_SHARE)
    if columns_in((train.parts(), validation.parts())):
        # It reads them ahead; imports belong before the clock.
        needed("grain")
    return Data(train, validation, test)


def set_apart(split: Split, share: float) -> tuple[Split, Split]:
    """Split off a share of the examples, drawn once and for all; returns (rest, apart)."""
    check_equal_lengths(split, "training")
    order = np.random.default_rng(VALIDATION_SEED).permutation(split.num_examples)
    num_apart = round(split.num_examples * share)
    return split.choose(order[num_apart:]), split.choose(order[:num_apart])


def check_equal_lengths(split: Split, name: str) -> None:
    """Raise DataError when inputs, targets and weights differ in their number of examples."""
    parts = dict(zip(("inputs", "targets", "weights"), split.parts(), strict=True))
    lengths = {
        part: sorted({len(array) if array.ndim else 0 for array in leaves(arrays)})
        for part, arrays in parts.items()
    }
    if len({number for found in lengths.values() for number in found}) > 1:
        told = [
            f"{part} of {' and '.join(map(str, found))}" for part, found in lengths.items() if found
        ]
        raise DataError(
            f"as many inputs as targets in the {name} split",
            f"{', '.join(told)} examples",
            "Load them from the same rows.",
            code="SLP-303",
        )


def _is_list_of_splits(loaded: Any) -> bool:
    return (
        isinstance(loaded, tuple | list)
        and len(loaded) in (2, 3)
        and all(isinstance(part, list) or _is_split(part) for part in loaded)
        and all(len(part) in (2, 3) for part in loaded if isinstance(part, list))
    )


def _is_split(part: Any) -> bool:
    is_pair = isinstance(part, tuple) and len(part) in (2, 3)
    return is_pair or isinstance(part, Split) or bool(kind_of(part))


def _to_split(part: Split | Sequence[Arrays]) -> Split:
    if isinstance(part, Split):
        return replace(
            part,
            **{
                name: map_arrays(as_array, getattr(part, name))
                for name in ("x", "y", "sample_weight")
            },
        )
    if kind_of(part):
        return Split(*read_once(part))
    if not isinstance(part, tuple | list) or len(part) not in (2, 3):
        raise DataError(
            "(x, y) or (x, y, weight) for each split",
            f"{type(part).__name__}",
            "Return pairs of arrays; wrap a generator in a keras.utils.PyDataset.",
            code="SLP-304",
        )
    split = Split(*(map_arrays(as_array, arrays) for arrays in part))
    single = next((array for array in leaves(split.parts()) if not array.shape), None)
    if single is not None:
        thing = single.item()
        is_iterable = hasattr(thing, "__iter__") and not isinstance(thing, str | bytes)
        # A list is several inputs or outputs, as in Keras: lists of numbers are no array.
        raise DataError(
            "arrays as inputs, targets and weights",
            f"a {type(thing).__name__}"
            if is_iterable
            else "single numbers or words, most likely in lists",
            "Return numpy.asarray(...) of each; a keras.utils.PyDataset, or another loader that"
            " Model.fit takes, in the place of a pair (x, y).",
            code="SLP-425",
        )
    return split


def _pieces(array: Array) -> Iterator[Array]:
    """Yield an array in rows of a few megabytes, where its bytes have to be put in order first."""
    if array.flags.c_contiguous or array.dtype.hasobject:
        yield array
        return
    step = max(1, PIECE_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), step):
        yield array[start : start + step]


def _bytes(array: Array) -> bytes | memoryview:
    if array.dtype.hasobject:
        return repr(array.tolist()).encode()
    # As plain bytes: dates have no buffer of their own.
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b""

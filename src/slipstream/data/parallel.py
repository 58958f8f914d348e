"""Reading ahead: threads load what comes next while the model is trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar, final

from slipstream.data.extras import needed

T = TypeVar("T")
# More than any training takes: the loader is told where to begin, not where to end.
ENDLESS = 2**48


def num_threads(wanted: int) -> int:
    """Return how many threads decode; 0 asks for as many as this process may use processors."""
    if wanted:
        return wanted
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@final
class ReadAhead(Generic[T]):
    """Hands out load(start), load(start + 1), ... in this order, loaded by threads ahead of time.

    Args:
        load: Loads one element, given its index; called from several threads at a time.
        start: The first index.
        threads: How many threads.
        ahead: How many elements are loaded or being loaded before they are asked for.

    Example:
        >>> reader = ReadAhead(lambda index: index**2, start=3, threads=2, ahead=4)
        >>> next(reader), next(reader)
        (9, 16)
        >>> reader.close()

    Source: Grain, documentation, "MapDataset.to_iter_dataset and ReadOptions".
    """

    def __init__(self, load: Callable[[int], T], start: int, threads: int, ahead: int) -> None:
        grain = needed("grain")
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(1, ahead))
        # Wrapped: Grain leaves out what is None.
        elements = grain.MapDataset.source(_Indices()).map(lambda index: _Loaded(load(index)))
        self._iterator: Any = iter(elements.to_iter_dataset(options))
        self._iterator.set_state({"next_index": start})

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        value: T = next(self._iterator).value
        return value

    def close(self) -> None:
        """Let go of the threads; what they are loading is thrown away."""
        self._iterator.close()


@final
class _Indices:
    """As a data source of Grain's: every index is its own element."""

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, index: int) -> int:
        return int(index)


@final
class _Loaded(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value

"""What a plan's section [data] makes of a data set: caches within a budget of memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from slipstream.data.caches import Cached, Tiers
from slipstream.data.columns import Column, columns_in
from slipstream.data.extras import needed
from slipstream.data.parallel import num_threads
from slipstream.data.splits import Data, Split, leaves, map_arrays
from slipstream.engine.stream import EVALUATED_AHEAD, EVALUATED_BYTES, calls_ahead, in_memory
from slipstream.errors import PlanError
from slipstream.files import cache_folder
from slipstream.plan import Plan
from slipstream.plan.sizes import bytes_of

# How much of a data set is decoded before it is measured: examples, and calls into the backend.
PROBED_EXAMPLES = 1024
PROBED_CALLS = 4
# What decoders, allocators and the names of files take beside the examples themselves: freed memory
# that each thread keeps for later is most of it, 90 MiB with two threads and images of 96 x 96.
SLACK_BYTES = 96 * 2**20


@dataclass(frozen=True)
class Pipeline:
    """A data set as a plan has it trained on.

    Args:
        data: The data set; what lies in files is decoded once, as far as there is room.
        applied: What was done of the plan, by plan key.
    """

    data: Data
    applied: dict[str, str]

    def release(self) -> None:
        """Let go of the memory and the files of its caches."""
        for column in columns_in((self.data.train.parts(), self.data.validation.parts())):
            if isinstance(column, Cached):
                column.release()


def prepared(data: Data, plan: Plan) -> Pipeline:
    """Return a data set with the caches of a plan, all of them empty yet.

    The memory is shared among training and validation as their bytes are; the test split, which
    is read once, has none.

    Raises:
        PlanError: The budget has no room for the examples that are made ready ahead.
        DataError: A library is missing, or the disk has too little room.
    """
    columns = columns_in((data.train.parts(), data.validation.parts()))
    ahead = calls_ahead(plan, data.train)
    if not columns:
        if ahead:
            needed("grain")
        return Pipeline(data, _reading(plan, ahead) if plan.data.prefetch != "auto" else {})
    # It is imported here, and not while a first step waits for it.
    needed("grain")
    total = sum(column.nbytes for column in columns)
    room = _room(plan, data, total, ahead)
    on_disk = plan.data.cache in ("disk", "hybrid")
    folder = cache_folder() / "decoded" if on_disk and room < total else None

    def cached(split: Split) -> Split:
        x, y, weights = (
            map_arrays(lambda array: _cached(array, room / total, folder), part)
            for part in split.parts()
        )
        return Split(x, y, weights, split.rows)

    applied = _applied(plan, data.train.num_examples, min(1.0, room / total), ahead)
    if plan.data.cache == "none":
        return Pipeline(data, applied)
    is_placed = plan.data.cache == "device"
    train = data.train if is_placed else cached(data.train)
    return Pipeline(replace(data, train=train, validation=cached(data.validation)), applied)


def probed(data: Data, plan: Plan) -> Data:
    """Return a part of a data set whose caches are full, for measuring what epochs take.

    The first epoch decodes, the others do not: a measurement of seconds would see the first alone.
    As large a share of the examples is kept as in a training of the whole set.

    Raises:
        PlanError: See `prepared`.
    """
    refuse_idle(plan, data)
    cached_data = prepared(data, plan).data
    columns = columns_in(cached_data.train.parts())
    if not columns or plan.data.cache == "device":
        return cached_data
    calls = PROBED_CALLS * plan.runtime.steps_per_execution
    num = max(PROBED_EXAMPLES, calls * plan.batch.size * plan.batch.accumulation)
    # Spread evenly: the first rows are the ones that stay in memory.
    rows = np.linspace(0, data.train.num_examples - 1, min(num, data.train.num_examples))
    few = cached_data.train.choose(np.unique(rows.astype(np.int64)))
    in_memory(few, plan.data.threads)
    return replace(cached_data, train=few)


def refuse_idle(plan: Plan, data: Data) -> None:
    """Refuse settings that count for nothing with data that lie in memory as arrays.

    Raises:
        PlanError: It names the key.
    """
    if columns_in((data.train.parts(), data.validation.parts())):
        return
    settings = plan.data
    idle = {
        "data.cache": ("host", settings.cache if settings.cache != "device" else "host"),
        "data.memory_budget": ("auto", settings.memory_budget),
        "data.threads": (0, settings.threads if not calls_ahead(plan, data.train) else 0),
    }
    for key, (default, value) in idle.items():
        if value != default:
            also = ", or data.prefetch above 0" if key == "data.threads" else ""
            raise PlanError(
                f"{key} = {default!r} for a task whose data lie in memory as arrays",
                f"{key} = {value!r}",
                f"Set it back to {default!r}{also}: it is for examples that are read from files.",
                code="SLP-135",
            )


def _cached(array: Any, share: float, folder: Path | None) -> Any:
    if not isinstance(array, Column):
        return array
    in_memory = len(array) if share >= 1 else int(len(array) * share)
    return Cached(array, Tiers(in_memory, folder))


def _room(plan: Plan, data: Data, total: int, ahead: int) -> int:
    """Return the bytes of memory that decoded examples may take."""
    settings = plan.data
    if settings.cache in ("disk", "none"):
        return 0
    free: int = psutil.virtual_memory().available
    if settings.cache == "device":
        if data_bytes(data.train) > free:
            raise PlanError(
                f"a training set that fits into {free / 2**20:,.0f} MiB of memory for "
                "data.cache = 'device'",
                f"{data_bytes(data.train) / 2**20:,.0f} MiB of decoded examples",
                "Set data.cache = 'hybrid'.",
                code="SLP-136",
            )
        return free // 2
    buffers = _buffers(plan, data, ahead)
    if settings.memory_budget == "auto":
        return max(0, free // 2 - buffers)
    budget = bytes_of(settings.memory_budget)
    if budget < buffers:
        raise PlanError(
            f"data.memory_budget of at least {_mib(buffers)}, {_mib(SLACK_BYTES)} of it for "
            f"decoders and allocators and {_mib(buffers - SLACK_BYTES)} for examples under way",
            f"data.memory_budget = {settings.memory_budget!r}",
            "Raise it, or set data.cache = 'disk' and leave the budget out: then no decoded "
            "examples stay in memory.",
            code="SLP-137",
        )
    return min(total, budget - buffers)


def _mib(num_bytes: int) -> str:
    return f"{-(-num_bytes // 2**20)}MiB"


def _buffers(plan: Plan, data: Data, ahead: int) -> int:
    """Return the bytes of examples under way: made ready, being put together, being trained on."""
    of_update = plan.batch.size * plan.batch.accumulation
    examples = plan.runtime.steps_per_execution * of_update
    call = data_bytes(data.train) * min(examples, data.train.num_examples)
    call //= max(1, data.train.num_examples)
    threads = num_threads(plan.data.threads) * call // max(1, plan.runtime.steps_per_execution)
    evaluated = (EVALUATED_AHEAD + 2) * EVALUATED_BYTES
    return (ahead + 3) * call + threads + evaluated + SLACK_BYTES


def data_bytes(split: Split) -> int:
    """Return the bytes of a split, were it in memory."""
    return sum(array.nbytes for array in leaves(split.parts()))


def _applied(plan: Plan, num: int, share: float, ahead: int) -> dict[str, str]:
    in_memory = int(num * share)
    applied = {"data.cache": _in_words(plan.data.cache, in_memory, num), **_reading(plan, ahead)}
    if plan.data.memory_budget != "auto":
        budget = f"{plan.data.memory_budget}, room for {in_memory:,} of {num:,} training examples"
        applied["data.memory_budget"] = budget
    return applied


def _reading(plan: Plan, ahead: int) -> dict[str, str]:
    threads = f"{num_threads(plan.data.threads)} threads"
    return {
        "data.threads": threads if ahead or plan.data.cache == "device" else "none",
        "data.prefetch": f"{ahead} calls made ready ahead" if ahead else "none made ready ahead",
    }


def _in_words(cache: str, in_memory: int, num: int) -> str:
    whole = {
        "device": "on the device",
        "disk": "decoded once, into a file",
        "none": "decoded anew in each epoch",
    }
    if cache in whole:
        return f"{num:,} training examples {whole[cache]}"
    if in_memory >= num:
        return f"{num:,} training examples in memory"
    rest = {"host": "decoded anew in each epoch", "hybrid": "in a file"}[cache]
    return f"{in_memory:,} of {num:,} training examples in memory, the others {rest}"

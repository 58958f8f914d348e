"""The largest batch that fits, and the fastest one, measured in processes of their own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from pydantic import ValidationError

from slipstream.commands.durations import parse_seconds
from slipstream.commands.given import reference_to
from slipstream.commands.look import as_given, launch_for, look, on_installed
from slipstream.commands.show import hidden, shown
from slipstream.errors import InputError, TrainingError
from slipstream.measure import Launch
from slipstream.measure.confine import MEMORY_VARIABLE
from slipstream.plan import Plan, Value, read_plan
from slipstream.plan.sizes import bytes_of, spelt_size
from slipstream.progress import Listener, StageDone, StageStarted, Step, silent
from slipstream.tuning.batch_sizes import BatchRow, BatchSizes, search_batch_sizes

# Of what is free when it begins: the rest is the system's, so that it ends nobody's processes.
SHARE_OF_FREE = 0.9
_ENDED = {
    "memory": "memory does not suffice for more",
    "examples": "the training split has no more examples for an update",
    "limit": "larger ones were not wanted",
    "budget": "the budget was spent",
    "failure": "the next one failed",
}


def batch_sizes(
    task: Any,
    x: Any = None,
    y: Any = None,
    *,
    plan: Plan | str | Path | None = None,
    changes: Mapping[str, Value] | None = None,
    largest: int | None = None,
    memory: str | int | None = None,
    budget: str | float = "5m",
    progress: bool = True,
    **handed: Any,
) -> BatchSizes:
    """Find the largest batch that fits into memory, and the fastest, by measurement.

    Args:
        task: A `Task`, a reference ("digits", "my_task.py"), or, with x and y, a compiled Keras
            model.
        x: Inputs, as Keras' fit takes them.
        y: Targets, as Keras' fit takes them.
        plan: A plan or a file with one, whose batch.size is where the search begins; the task as
            given if None.
        changes: Dotted keys of the plan that are to be changed.
        largest: The largest size to try; the training split if None.
        memory: What a training may take beyond the loaded data, like "2GiB"; nearly all that is
            free if None.
        budget: Wall-clock time: "90s", "5m", or seconds. No size is begun after it.
        progress: Whether to show progress.
        **handed: With a model, what `hand_over` takes.

    Raises:
        InputError: Task, data or plan cannot be used.
        TrainingError: Not even the plan's own batch size could be measured.

    Example:
        >>> found = batch_sizes("digits", budget="1m")  # doctest: +SKIP
        >>> found.largest, found.fastest  # doctest: +SKIP
        (1078, 256)
    """
    chosen = plan if isinstance(plan, Plan) or plan is None else read_plan(Path(plan))
    with (
        shown() if progress else hidden() as listener,
        tempfile.TemporaryDirectory(prefix="slipstream-") as folder,
    ):
        # What fresh processes rebuild a task in a notebook from need not outlive them.
        reference = reference_to(task, x, y, handed, Path(folder), False, listener)
        return find_batch_sizes(
            reference,
            chosen,
            changes=changes or {},
            largest=largest,
            memory=memory,
            seconds=parse_seconds(budget) if isinstance(budget, str) else budget,
            listener=listener,
        )


def find_batch_sizes(
    reference: str,
    plan: Plan | None = None,
    *,
    changes: Mapping[str, Value] = MappingProxyType({}),
    largest: int | None = None,
    memory: str | int | None = None,
    seconds: float = 300.0,
    listener: Listener = silent,
) -> BatchSizes:
    """Do what `batch_sizes` does, telling a listener."""
    limit = _bytes_of(memory) if memory is not None else _nearly_all()
    launch = launch_for(reference)
    facts, _ = look(launch, plan=plan, listener=listener, changes=changes)
    chosen = (on_installed(plan) if plan is not None else as_given(facts)).edit(changes)
    start = time.monotonic()
    backend = chosen.runtime.backend
    what = f"Measuring batch sizes on {backend}, within {_amount(limit)}"
    listener(StageStarted("batch", what, seconds))

    def tell(row: BatchRow) -> None:
        fraction = min(1.0, (time.monotonic() - start) / seconds)
        listener(Step("batch", row_in_words(row), fraction))

    found = search_batch_sizes(
        Launch(launch.reference, variables={MEMORY_VARIABLE: str(limit)}),
        chosen.edit({"runtime.loop": "slipstream"}),
        facts.num_train,
        largest=largest,
        budget_seconds=seconds,
        on_row=tell,
    )
    if found.largest is None:
        raise _nothing_ran(found, reference)
    listener(StageDone("batch", in_words(found), time.monotonic() - start))
    return found


def _nothing_ran(found: BatchSizes, reference: str) -> TrainingError:
    """Return what is wrong where no size could be measured; its smallest one tells."""
    row = found.rows[0]
    if row.outcome != "out_of_memory":
        mend = f"See what is wrong: slipstream fit {reference} --set batch.size={row.size}."
    elif row.size > 1:
        mend = "Begin with a smaller batch (--set batch.size=1), or allow more --memory."
    else:
        mend = "Allow more --memory, or make the model smaller."
    return TrainingError(
        f"the plan to train with batch.size = {row.size}",
        f"{row.outcome.replace('_', ' ')}: {row.message}",
        mend,
        code="SLP-507",
    )


def row_in_words(row: BatchRow) -> str:
    """Return what came of one size.

    Example:
        >>> row_in_words(BatchRow(size=64, outcome="out_of_memory"))
        'batch 64: out of memory'
    """
    if row.outcome != "measured":
        why = f": {row.message}" if row.message and row.outcome != "out_of_memory" else ""
        return f"batch {row.size}: {row.outcome.replace('_', ' ')}{why}"
    held = f"{(row.peak_memory_bytes or 0) / 2**20:,.0f} MiB"
    return f"batch {row.size}: {row.examples_per_second:,.0f} examples/s, peak {held}"


def in_words(found: BatchSizes) -> str:
    """Return what a search found, in a sentence.

    Example:
        >>> rows = (BatchRow(size=32, outcome="measured", examples_per_second=900.0),)
        >>> in_words(BatchSizes(rows=rows, ended_by="examples"))
        'fastest: batch 32; largest that fits: 32, the training split has no more examples for an \
update'
    """
    largest = f"largest that fits: {found.largest}"
    if found.ended_by in ("limit", "budget", "failure"):
        largest = f"largest that was tried and fits: {found.largest}"
    return f"fastest: batch {found.fastest}; {largest}, {_ENDED[found.ended_by]}"


def _nearly_all() -> int:
    return int(SHARE_OF_FREE * psutil.virtual_memory().available)


def _amount(num_bytes: int) -> str:
    whole = num_bytes >= 2**30
    return f"{num_bytes / 2**30:.1f} GiB" if whole else f"{num_bytes / 2**20:,.0f} MiB"


def _bytes_of(memory: str | int) -> int:
    try:
        spelt = spelt_size(memory)
        if spelt != "auto":
            return bytes_of(spelt)
    except (ValidationError, ValueError, OverflowError):
        pass
    raise InputError(
        "an amount of memory, like 2GiB", f"'{memory}'", "Write --memory 2GiB.", code="SLP-012"
    )

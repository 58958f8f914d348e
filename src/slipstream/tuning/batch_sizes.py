"""Batch-size search: the largest batch that fits, and the fastest, which is seldom the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, final

from slipstream.errors import InputError
from slipstream.measure.manager import Failed, Launch, Worker
from slipstream.plan import Plan
from slipstream.record import JsonModel
from slipstream.tuning.runtime_values import CandidateOutcome, steady

MEASURE_SECONDS = 1.0
MEASURE_TIMEOUT_SECONDS = 60.0
FEWEST_WINDOWS = 5
SHORTEST_BUILD_TIMEOUT = 60.0
# A larger batch has to be this much faster: each of its examples teaches less.
WORTH_IT = 1.02
# Between what fits and what does not the search ends when they are so close.
CLOSE = 1.125

EndedBy = Literal["memory", "examples", "limit", "budget", "failure"]


class BatchRow(JsonModel):
    """One size: what came of it. `message` says why there is no measurement."""

    size: int
    outcome: CandidateOutcome
    message: str = ""
    examples_per_second: float | None = None
    spread: float | None = None
    compile_seconds: float | None = None
    peak_memory_bytes: int | None = None
    peak_device_bytes: int | None = None


class BatchSizes(JsonModel):
    """What a search found.

    Args:
        rows: Every size that was tried, the smallest first.
        ended_by: Why it went no further: memory, the number of examples, the limit that was set,
            the budget, or a failure that has nothing to do with memory.
    """

    rows: tuple[BatchRow, ...]
    ended_by: EndedBy

    @property
    def largest(self) -> int | None:
        """The largest size that ran; None where none did."""
        return max((row.size for row in self.rows if row.outcome == "measured"), default=None)

    @property
    def too_large(self) -> int | None:
        """The smallest size that memory did not suffice for; None where there is none."""
        rows = [row.size for row in self.rows if row.outcome == "out_of_memory"]
        return min(rows, default=None)

    @property
    def fastest(self) -> int | None:
        """The smallest size of which no other is faster by more than 2 %; None where none ran."""
        speeds = {row.size: row.examples_per_second or 0.0 for row in self.rows}
        best = max(speeds.values(), default=0.0)
        near = [size for size, speed in speeds.items() if 0 < best <= speed * WORTH_IT]
        return min(near, default=None)


def search_batch_sizes(
    launch: Launch,
    plan: Plan,
    num_train: int,
    *,
    largest: int | None = None,
    budget_seconds: float = 300.0,
    on_row: Callable[[BatchRow], None] = lambda _: None,
) -> BatchSizes:
    """Measure a plan at growing batch sizes until memory, examples or time run out.

    From the plan's own size on each is twice the one before; where memory does not suffice, sizes
    between are halved. One process measures size after size, as long as it lives.

    Args:
        launch: How workers are started.
        plan: The plan; its batch.size is where the search begins.
        num_train: Examples of the training split.
        largest: The largest size to try; the training split if None.
        budget_seconds: After which no further size is tried.
        on_row: Told of each size as it is known.

    Raises:
        InputError: The plan cannot be followed at its own batch size.
    """
    most = num_train // plan.batch.accumulation
    search = _Search(launch, plan, budget_seconds, on_row)
    try:
        return search.run(min(most, largest or most), by_limit=bool(largest and largest < most))
    finally:
        search.end()


@final
class _Search:
    def __init__(
        self, launch: Launch, plan: Plan, budget_seconds: float, on_row: Callable[[BatchRow], None]
    ) -> None:
        self._launch = launch
        self._plan = plan
        self._on_row = on_row
        self._budget = budget_seconds
        self._end = time.monotonic() + budget_seconds
        self._worker: Worker | None = None
        self._rows: list[BatchRow] = []

    def run(self, most: int, by_limit: bool) -> BatchSizes:
        size = self._plan.batch.size
        fits, fails = 0, 0
        while not fails and (size <= most or not self._rows):
            if self._rows and self._is_over():
                return self._result("budget")
            row = self._measure(size)
            if row.outcome == "measured":
                fits, size = size, min(2 * size, most) if size < most else size + 1
            elif row.outcome == "out_of_memory":
                fails = size
            else:
                return self._result("failure")
        if not fails:
            return self._result("limit" if by_limit else "examples")
        return self._between(fits, fails)

    def _between(self, fits: int, fails: int) -> BatchSizes:
        """Close in on the largest size that memory suffices for."""
        while fails > max(CLOSE * fits, fits + 1) and fails > 1:
            if self._is_over():
                return self._result("budget")
            middle = _round_number(fits, fails)
            row = self._measure(middle)
            if row.outcome == "measured":
                fits = middle
            elif row.outcome == "out_of_memory":
                fails = middle
            else:
                return self._result("failure")
        return self._result("memory")

    def end(self) -> None:
        if self._worker is not None:
            self._worker.end()

    def _is_over(self) -> bool:
        return time.monotonic() > self._end

    def _result(self, ended_by: EndedBy) -> BatchSizes:
        rows = sorted(self._rows, key=lambda row: row.size)
        return BatchSizes(rows=tuple(rows), ended_by=ended_by)

    def _measure(self, size: int) -> BatchRow:
        row = self._measured(size)
        if row.outcome != "measured":
            # Whatever it holds is to be gone before the next one.
            self.end()
            self._worker = None
        self._rows.append(row)
        self._on_row(row)
        return row

    def _measured(self, size: int) -> BatchRow:
        worker = self._opened()
        if isinstance(worker, Failed):
            return _failed(size, worker)
        timeout = max(SHORTEST_BUILD_TIMEOUT, self._budget)
        try:
            probed = worker.probe(self._plan.edit({"batch.size": size}), timeout)
        except InputError:
            if not self._rows:
                raise
            return BatchRow(size=size, outcome="error", message="the plan does not allow it")
        if isinstance(probed, Failed):
            return _failed(size, probed)
        windows: list[float] = []
        memory = device_memory = 0
        while len(windows) < FEWEST_WINDOWS:
            measured = worker.measure(MEASURE_SECONDS, MEASURE_TIMEOUT_SECONDS)
            if isinstance(measured, Failed):
                return _failed(size, measured)
            windows += measured.examples_per_second
            memory, device_memory = measured.peak_memory_bytes, measured.peak_device_bytes
        speed, spread = steady(windows)
        return BatchRow(
            size=size,
            outcome="measured",
            examples_per_second=speed,
            spread=spread,
            compile_seconds=probed.compile_seconds,
            peak_memory_bytes=memory,
            peak_device_bytes=device_memory,
        )

    def _opened(self) -> Worker | Failed:
        if self._worker is None or not self._worker.is_alive:
            self._worker = self._launch.worker(self._plan.runtime.backend, "batch_sizes")
            opened = self._worker.open()
            if isinstance(opened, Failed):
                return opened
        return self._worker


def _failed(size: int, failed: Failed) -> BatchRow:
    return BatchRow(size=size, outcome=failed.kind, message=failed.message.splitlines()[0][:200])


def _round_number(low: int, high: int) -> int:
    """Return a number about half-way, a multiple of the largest power of two that leaves room.

    Example:
        >>> _round_number(0, 64), _round_number(64, 128), _round_number(96, 128)
        (32, 96, 112)
        >>> _round_number(3, 5)
        4
    """
    middle = (low + high) // 2
    step = 1 << max(0, (high - low).bit_length() - 3)
    rounded = middle // step * step
    return rounded if low < rounded < high else middle

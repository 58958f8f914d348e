"""Runtime search: which backend and options run this task fastest on this machine.

Every candidate has a process of its own. Imports of several overlap; builds and measurements are
made one at a time while everything else idles.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from slipstream.errors import InputError
from slipstream.measure.manager import WORKER_COMMAND, Failed, Launch, Worker
from slipstream.measure.messages import Opened
from slipstream.plan import Plan
from slipstream.task import TaskFacts
from slipstream.tuning.runtime_candidates import Candidate, Space, changes_of
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow, steady

# The first look has loaded the same data before: this is for a process that never starts.
OPEN_SECONDS = 600.0
# Seconds of measurement in each rung: fewer candidates, longer windows.
RUNG_SECONDS = (1.0, 1.5, 2.5)
MEASURE_TIMEOUT_SECONDS = 15.0
FEWEST_WINDOWS = 5
# What would take so many times as long as the best, at its own fastest, is measured no further.
FAR_BEHIND = 1.5
# What a candidate may take to build, as a share of the budget.
BUILD_SHARE = 0.25
SHORTEST_BUILD_TIMEOUT = 15.0
# What is kept of the budget for the rungs after the first.
FINALS_SHARE = 0.18
AT_A_TIME = 2
MOST_ALIVE = 6
ALIVE_OF_A_BATCH_SIZE = 2

OnResult = Callable[[RuntimeRow], None]


def search_runtime(
    reference: str,
    facts: TaskFacts,
    base_plan: Plan,
    *,
    backends: Sequence[str],
    allow_precision: bool,
    budget_seconds: float,
    epochs_planned: int,
    on_result: OnResult | None = None,
    log_folder: Path | None = None,
    known: Sequence[RuntimeRow] = (),
    command: tuple[str, ...] = WORKER_COMMAND,
) -> RuntimeResult:
    """Find the fastest runtime at each batch size.

    The value of a candidate is what the planned training would take with it:
    compile_seconds + epochs_planned * examples / throughput. First one candidate of each backend
    is tried, then neighbours of the best, then the best are measured again for longer while the
    others are ended (successive halving). A candidate that crashes, hangs or runs out of memory
    is a row like the others.

    Args:
        reference: The task, as a fresh process can rebuild it.
        facts: The task.
        base_plan: The plan whose runtime, precision, cache and batch size are varied.
        backends: Backends to try; each is tried at least once.
        allow_precision: Whether formats below float32 may be tried.
        budget_seconds: Wall-clock seconds; only a hanging candidate of the first round overdraws.
        epochs_planned: Epochs of the training that is planned.
        on_result: Called with each candidate's row as it comes, and again as it gets better known.
        log_folder: Where the workers' chatter goes.
        known: Rows of an interrupted search for the same: they are not measured again.
        command: Program and arguments of a worker.

    Raises:
        InputError: No candidate could be measured because of the user's task, data or plan.

    Source: K. Jamieson and A. Talwalkar, 2016, "Non-stochastic Best Arm Identification and
        Hyperparameter Optimization" (successive halving).
    """
    launch = Launch(reference, base_plan.seeds.seed, log_folder, command=command)
    space = Space(facts, base_plan, backends, allow_precision=allow_precision)
    examples = epochs_planned * facts.num_train
    search = _Search(launch, space, base_plan, examples, budget_seconds, on_result, known)
    try:
        search.explore()
        search.finals()
    finally:
        search.end()
    return search.result(epochs_planned)


@dataclass
class _Contender:
    """A candidate on trial: its process, and what was measured so far."""

    candidate: Candidate
    worker: Worker | None = None
    failed: Failed | None = None
    compile_seconds: float = 0.0
    windows: list[float] = field(default_factory=list)
    peak_memory_bytes: int = 0
    rungs: int = 0
    known: RuntimeRow | None = None

    @property
    def backend(self) -> str:
        return self.candidate.options.backend

    @property
    def batch_size(self) -> int:
        return self.candidate.options.batch_size

    def end(self) -> None:
        if self.worker is not None:
            self.worker.end()

    def is_alive(self) -> bool:
        return self.worker is not None and self.failed is None and self.worker.is_alive

    def projected(self, examples: int) -> float:
        if self.rungs == 0:
            return math.inf
        return self.seconds_at(steady(self.windows)[0], examples)

    def seconds_at(self, throughput: float, examples: int) -> float:
        """Return what a training of so many examples would take at a throughput."""
        return self.compile_seconds + examples / max(throughput, 1e-9)


@dataclass(frozen=True)
class _Cost:
    """What the last trial on a backend took: until all of its group were open, and after."""

    open_seconds: float = 6.0
    trial_seconds: float = 3.0


@final
class _Search:
    """The state of one search. See `search_runtime`."""

    def __init__(
        self,
        launch: Launch,
        space: Space,
        base: Plan,
        examples: int,
        budget_seconds: float,
        on_result: OnResult | None,
        known: Sequence[RuntimeRow],
    ) -> None:
        self._launch = launch
        self._space = space
        self._base = base
        self._examples = examples
        self._budget = budget_seconds
        self._on_result = on_result
        self._known = {row.label: row for row in known}
        self._start = time.monotonic()
        self._contenders: list[_Contender] = []
        self._input_error: InputError | None = None
        self._costs: dict[str, _Cost] = {}

    def explore(self) -> None:
        """Try one candidate of each backend, then neighbours of the best while there is time.

        Between the most promising backends and the others come neighbours of their best: what is
        left of the time after a backend that hangs is to be no one's only chance.
        """
        first = list(self._space.first())
        num_backends = len({candidate.options.backend for candidate in first})
        # The base plan's own options come last and are no backend's only chance.
        for start in range(0, len(first), AT_A_TIME):
            group: Sequence[Candidate] = first[start : start + AT_A_TIME]
            if start >= num_backends:
                group = self._that_fit(group)
            self._try(group)
            if start == 0:
                self._try(self._that_fit(self._next()[:AT_A_TIME]))
        while group := self._that_fit(self._next()[:AT_A_TIME]):
            self._try(group)

    def finals(self) -> None:
        """Measure the best of each batch size again, for longer, halving their number."""
        for rung, seconds in enumerate(RUNG_SECONDS[1:], start=1):
            alive = [c for c in self._contenders if c.is_alive() and c.rungs == rung]
            # The turn is reversed in every rung, so that a drift of the machine falls on all.
            for contender in alive if rung % 2 else reversed(alive):
                if self._seconds_left() < 2 * seconds:
                    return
                self._measure(contender, seconds)
            self._halve()

    def end(self) -> None:
        """End all processes."""
        for contender in self._contenders:
            contender.end()

    def result(self, epochs_planned: int) -> RuntimeResult:
        """Return all rows; raises the user's error when it kept everything from being measured."""
        if self._input_error is not None and not any(c.rungs for c in self._contenders):
            raise self._input_error
        return RuntimeResult(
            rows=tuple(self._row(contender) for contender in self._contenders),
            untried=tuple(candidate.label for candidate in self._next()),
            seconds=time.monotonic() - self._start,
            epochs_planned=epochs_planned,
        )

    def _try(self, group: Sequence[Candidate]) -> None:
        self._contenders += [_taken_up(c, self._known[c.label]) for c in group if self._knows(c)]
        contenders = [_Contender(candidate) for candidate in group if not self._knows(candidate)]
        for contender in contenders:
            name = f"candidate_{len(self._contenders):02d}_{contender.backend}"
            self._contenders.append(contender)
            contender.worker = self._launch.worker(contender.backend, name)
            contender.worker.begin_open()
        start = time.monotonic()
        for contender in contenders:
            self._await_open(contender)
        open_seconds = time.monotonic() - start
        for contender in contenders:
            start = time.monotonic()
            self._build_and_measure(contender)
            self._tell(contender)
            self._costs[contender.backend] = _Cost(open_seconds, time.monotonic() - start)
        self._keep_the_best_alive()

    def _knows(self, candidate: Candidate) -> bool:
        return candidate.label in self._known

    def _await_open(self, contender: _Contender) -> None:
        assert contender.worker is not None
        # What is wrong with task or data is the same on all backends: it ends the search.
        opened = contender.worker.finish(Opened, OPEN_SECONDS)
        if isinstance(opened, Failed):
            contender.failed = opened

    def _build_and_measure(self, contender: _Contender) -> None:
        if contender.failed is not None:
            return
        assert contender.worker is not None
        timeout = max(SHORTEST_BUILD_TIMEOUT, BUILD_SHARE * self._budget)
        try:
            probed = contender.worker.probe(contender.candidate.plan, timeout)
        except InputError as error:
            # A plan that this backend or model cannot follow rules out this candidate alone.
            self._input_error = self._input_error or error
            contender.failed = Failed("error", str(error))
            return
        if isinstance(probed, Failed):
            contender.failed = probed
            return
        contender.compile_seconds = probed.compile_seconds
        self._measure(contender, RUNG_SECONDS[0])

    def _measure(self, contender: _Contender, seconds: float) -> None:
        assert contender.worker is not None
        windows: list[float] = []
        while len(windows) < FEWEST_WINDOWS:
            measured = contender.worker.measure(seconds, MEASURE_TIMEOUT_SECONDS)
            if isinstance(measured, Failed):
                contender.failed = measured
                return
            windows += measured.examples_per_second
            contender.peak_memory_bytes = measured.peak_memory_bytes
            if windows and self._is_far_behind(contender, max(windows)):
                # How far behind need not be known any better: slow ones take the longest.
                break
        contender.windows += windows
        contender.rungs += 1
        if contender.rungs > 1:
            self._tell(contender)

    def _is_far_behind(self, contender: _Contender, best_window: float) -> bool:
        same = [c for c in self._contenders if c.batch_size == contender.batch_size and c.rungs]
        if not same:
            return False
        seconds = contender.seconds_at(best_window, self._examples)
        return seconds > FAR_BEHIND * min(self._projected(c) for c in same)

    def _keep_the_best_alive(self) -> None:
        kept = 0
        ranks: dict[int, int] = {}
        for contender in sorted(self._alive(), key=self._projected):
            rank = ranks.get(contender.batch_size, 0)
            ranks[contender.batch_size] = rank + 1
            if rank >= ALIVE_OF_A_BATCH_SIZE or kept >= MOST_ALIVE:
                contender.end()
            else:
                kept += 1

    def _halve(self) -> None:
        for size in {contender.batch_size for contender in self._alive()}:
            same = [c for c in self._alive() if c.batch_size == size]
            same.sort(key=self._projected)
            for loser in same[math.ceil(len(same) / 2) :]:
                loser.end()

    def _alive(self) -> list[_Contender]:
        return [contender for contender in self._contenders if contender.is_alive()]

    def _projected(self, contender: _Contender) -> float:
        return contender.projected(self._examples)

    def _next(self) -> list[Candidate]:
        measured = {c.candidate: self._projected(c) for c in self._contenders if c.rungs}
        return self._space.next_candidates(measured, [c.candidate for c in self._contenders])

    def _that_fit(self, group: Sequence[Candidate]) -> Sequence[Candidate]:
        """Return as many of a group, from its beginning, as there is time for."""
        for size in range(len(group), 0, -1):
            new = [c for c in group[:size] if not self._knows(c)]
            costs = [self._costs.get(c.options.backend, _Cost()) for c in new]
            needed = max((c.open_seconds for c in costs), default=0.0)
            needed += sum(c.trial_seconds for c in costs)
            if self._seconds_left() > needed + FINALS_SHARE * self._budget:
                return group[:size]
        return ()

    def _seconds_left(self) -> float:
        return self._budget - (time.monotonic() - self._start)

    def _tell(self, contender: _Contender) -> None:
        if self._on_result is not None:
            self._on_result(self._row(contender))

    def _row(self, contender: _Contender) -> RuntimeRow:
        if contender.known is not None:
            return contender.known
        candidate, failed = contender.candidate, contender.failed
        row = RuntimeRow(
            label=candidate.label,
            backend=contender.backend,
            batch_size=contender.batch_size,
            changes=changes_of(self._base, candidate.plan),
            outcome="measured" if failed is None else failed.kind,
            message=failed.message if failed is not None else "",
        )
        if failed is not None or contender.rungs == 0:
            return row
        throughput, spread = steady(contender.windows)
        return row.model_copy(
            update={
                "compile_seconds": contender.compile_seconds,
                "examples_per_second": throughput,
                "spread": spread,
                "rungs": contender.rungs,
                "projected_seconds": self._projected(contender),
                "peak_memory_bytes": contender.peak_memory_bytes,
            }
        )


def _taken_up(candidate: Candidate, row: RuntimeRow) -> _Contender:
    """Return the contender of an interrupted search as it then stood, without a process."""
    if row.outcome != "measured":
        return _Contender(candidate, failed=Failed(row.outcome, row.message), known=row)
    return _Contender(
        candidate,
        compile_seconds=row.compile_seconds or 0.0,
        windows=[row.examples_per_second or 0.0],
        peak_memory_bytes=row.peak_memory_bytes or 0,
        rungs=row.rungs,
        known=row,
    )

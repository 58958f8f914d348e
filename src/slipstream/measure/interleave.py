"""Runs of several sides, interleaved (A B B A ...), each in a fresh process, resumable."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from slipstream.environment import environment
from slipstream.errors import RecordError
from slipstream.measure import messages
from slipstream.measure.again import once_more
from slipstream.measure.manager import SILENCE_SECONDS, Failed, Launch, OnHappening
from slipstream.plan import Plan
from slipstream.record import RECORD_FILE, Failure, Record, Timings, read_record
from slipstream.task import TaskFacts


@dataclass(frozen=True)
class Job:
    """One run to be made: whose side it is on, its plan (with its seed), its folder.

    After `limit_seconds` of its clock it is ended, and counts as far as it came.
    """

    side: str
    plan: Plan
    folder: Path
    limit_seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """A job that was done. A process that ended without a record has one that says so."""

    job: Job
    record: Record
    failed: Failed | None = None
    resumed: bool = False


def interleave(
    sides: Mapping[str, Plan],
    seeds: Sequence[int],
    folder: Path,
    limit_seconds: float | None = None,
) -> tuple[Job, ...]:
    """Return a job for each side and seed, in the order A B, B A, A B ...

    A slow drift of the machine then falls on all sides alike.

    Args:
        sides: Names and plans; the plan's own seed is replaced.
        seeds: One run of each side for each.
        folder: Where run folders are made: `<side>_seed<seed>`.
        limit_seconds: Clock seconds after which a run is ended, or None.

    Example:
        >>> jobs = interleave({"a": Plan(), "b": Plan()}, [0, 1], Path("runs"))
        >>> [job.folder.name for job in jobs]
        ['a_seed0', 'b_seed0', 'b_seed1', 'a_seed1']
    """
    jobs = []
    for turn, seed in enumerate(seeds):
        names = list(sides)[:: 1 if turn % 2 == 0 else -1]
        for side in names:
            plan = sides[side].edit({"seeds.seed": seed})
            jobs.append(Job(side, plan, folder / f"{side}_seed{seed}", limit_seconds))
    return tuple(jobs)


def run_interleaved(
    launch: Launch,
    facts: TaskFacts,
    jobs: Sequence[Job],
    *,
    evaluate_test: bool = False,
    on_start: Callable[[Job], None] | None = None,
    on_happening: OnHappening | None = None,
    silence_seconds: float = SILENCE_SECONDS,
) -> Iterator[Run]:
    """Run the jobs one after the other, each in a fresh process on its plan's backend.

    Nothing else is started while a run is on the clock. A job whose folder already holds the
    complete record of the same plan, seed, task, data and environment is not run again. One that
    was interrupted begins anew: its clock is what is measured. So does one whose process was
    killed, once.

    Raises:
        InputError: What a worker found wrong with the user's task, data or plan.
    """
    for job in jobs:
        done = finished_record(job, facts, with_test=evaluate_test and facts.num_test > 0)
        if done is not None:
            yield Run(job, done, resumed=True)
            continue
        if on_start is not None:
            on_start(job)
        run = partial(_run, launch, job, evaluate_test, on_happening, silence_seconds)
        outcome = once_more(run)
        if isinstance(outcome, Failed):
            yield Run(job, failed_record(job, facts, outcome), failed=outcome)
        else:
            yield Run(job, outcome)


def _empty(folder: Path) -> None:
    """Let a run begin anew: what an earlier one that came to no end left there is in its way."""
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


def finished_record(job: Job, facts: TaskFacts, *, with_test: bool = False) -> Record | None:
    """Return the record in the job's folder, if it is complete and of this very job."""
    if not (job.folder / RECORD_FILE).exists():
        return None
    try:
        record = read_record(job.folder)
    except RecordError:
        return None
    is_same = (
        record.plan_digest == job.plan.digest()
        and record.seed == job.plan.seeds.seed
        and record.data_hash == facts.data_hash
        and record.fingerprint == facts.fingerprint
        and record.environment == environment()
    )
    is_complete = record.outcome not in ("interrupted", "failed") and not (
        with_test and record.test_values is None
    )
    # A training that failed by itself, as by a loss of NaN, would fail in the same way again.
    return record if is_same and (is_complete or record.outcome == "failed") else None


def failed_record(job: Job, facts: TaskFacts, failed: Failed) -> Record:
    """Return the record of a run whose process ended without one: it counts as never arriving."""
    return Record(
        task=facts.name,
        reference=facts.reference,
        fingerprint=facts.fingerprint,
        data_hash=facts.data_hash,
        plan=job.plan.to_dict(),
        plan_digest=job.plan.digest(),
        backend=job.plan.runtime.backend,
        seed=job.plan.seeds.seed,
        monitor=facts.monitor,
        mode=facts.mode,
        target=facts.target,
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment(),
        timings=Timings(),
        outcome="failed",
        failure=Failure(kind=failed.kind, message=failed.message),
        updates=0,
        epochs=0.0,
        examples_per_second=0.0,
        peak_memory_bytes=0,
        parameters=facts.parameters,
        best_value=None,
        best_epoch=None,
        final_values={},
    )


def _run(
    launch: Launch,
    job: Job,
    evaluate_test: bool,
    on_happening: OnHappening | None,
    silence_seconds: float,
) -> Record | Failed:
    _empty(job.folder)
    with launch.worker(job.plan.runtime.backend, job.folder.name) as worker:
        opened = worker.open()
        if isinstance(opened, Failed):
            return opened
        request = messages.Train(
            plan=job.plan,
            folder=str(job.folder.absolute()),
            evaluate_test=evaluate_test,
            limit_seconds=job.limit_seconds,
        )
        answer = worker.train(request, on_happening, silence_seconds)
        return answer if isinstance(answer, Failed) else answer.record

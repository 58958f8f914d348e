"""A run from its beginning to its record: what is asked for, what is reached, what is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from slipstream.data.splits import Data
from slipstream.engine.bounds import bound_of
from slipstream.engine.build import Built
from slipstream.engine.fingerprint import fingerprint
from slipstream.engine.keeping import Keeper
from slipstream.engine.keras_loop import KerasLoop
from slipstream.engine.own_loop import OwnLoop
from slipstream.engine.recorder import Recorder
from slipstream.environment import environment, peak_memory_bytes
from slipstream.plan import Plan
from slipstream.plan.accounting import unapplied
from slipstream.record import Bound, Failure, Outcome, Record, Timings
from slipstream.task import Task

NONE_IS_BEST = (
    "No evaluation was the best, for none has finite losses and a finite {}: the weights that were "
    "kept are those of the last update."
)


@dataclass(frozen=True)
class Origin:
    """What happened before the clock starts, and where the task comes from.

    Args:
        reference: From which a fresh process rebuilds the task.
        import_seconds: Starting the process and importing Keras and the backend.
        load_seconds: Loading the data.
    """

    reference: str = ""
    import_seconds: float = 0.0
    load_seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """What is to be run, where it goes, and what the record says of its beginning."""

    task: Task
    plan: Plan
    data: Data
    folder: Path | None
    origin: Origin
    started_at: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    keeper: Keeper | None = None

    @property
    def found(self) -> Mapping[str, Any]:
        """What the checkpoint that it goes on from says; nothing where there is none."""
        found = self.keeper.found if self.keeper else None
        return found.snapshot.values if found else {}


@dataclass
class Run:
    """What has been reached so far: enough to write a record at any moment."""

    built: Built | None = None
    loop: OwnLoop | KerasLoop | None = None
    test_values: dict[str, float] | None = None
    failure: Failure | None = None


def record_of(job: Job, recorder: Recorder, run: Run, outcome: str) -> Record:
    """Return the record of a run as it stands."""
    task, plan, origin = job.task, job.plan, job.origin
    spent = recorder.clock.spent
    total = spent.get("total", recorder.clock.seconds)
    trained = spent.get("train", 0.0) + spent.get("compile", 0.0)
    examples = run.loop.examples if run.loop else 0
    best = recorder.best
    return Record(
        task=task.name,
        reference=origin.reference,
        fingerprint=fingerprint(task),
        data_hash=job.data.digest(),
        plan=plan.to_dict(),
        plan_digest=plan.digest(),
        backend=plan.runtime.backend,
        seed=plan.seeds.seed,
        monitor=task.monitor,
        mode=task.better,
        target=task.target,
        started_at=job.started_at,
        environment=environment(),
        timings=Timings(
            import_seconds=origin.import_seconds,
            load_seconds=origin.load_seconds,
            build_seconds=spent.get("build", 0.0),
            compile_seconds=spent.get("compile", 0.0),
            train_seconds=spent.get("train", 0.0),
            wait_seconds=spent.get("wait", 0.0),
            evaluate_seconds=spent.get("evaluate", 0.0),
            monitor_seconds=spent.get("monitor", 0.0),
            clock_seconds=total,
        ),
        outcome=cast(Outcome, outcome),
        failure=run.failure,
        updates=run.loop.update if run.loop else 0,
        epochs=run.loop.epochs if run.loop else 0.0,
        examples_per_second=examples / trained if trained > 0 else 0.0,
        peak_memory_bytes=peak_memory_bytes(),
        parameters=run.built.model.count_params() if run.built else 0,
        best_value=best.values[task.monitor] if best else None,
        best_epoch=best.epoch if best else None,
        final_values=recorder.points[-1].values if recorder.points else {},
        test_values=run.test_values,
        applied=dict(run.built.applied) if run.built else {},
        notes=_notes(job, recorder, run, outcome),
        bound=_bound(job, recorder, run) if outcome != "failed" else None,
        checkpoints=job.keeper.told if job.keeper else None,
        events=recorder.signals,
        points=recorder.points,
    )


def _bound(job: Job, recorder: Recorder, run: Run) -> Bound | None:
    if run.built is None or run.loop is None:
        return None
    spent, loop = recorder.clock.spent, run.loop
    return bound_of(spent, loop.examples, loop.update, run.built.model, job.data.train, job.plan)


def _notes(job: Job, recorder: Recorder, run: Run, outcome: str) -> list[str]:
    if run.built is None:
        return []
    notes = list(run.built.notes)
    # What a run does last is not stated where it was cut short.
    if outcome in ("failed", "interrupted"):
        return notes
    missing = unapplied(job.plan, run.built.applied)
    if missing:
        notes.append(f"Nothing is known of what was done of {', '.join(missing)}.")
    if job.plan.duration.restore_best and recorder.points and recorder.best is None:
        notes.append(NONE_IS_BEST.format(job.task.monitor))
    return notes

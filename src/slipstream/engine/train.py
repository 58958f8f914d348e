"""The engine: runs (task, plan) in this process and returns a record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from slipstream.backends import open_program, run_eagerly
from slipstream.data.splits import Data, to_data
from slipstream.engine.applied import state_applied
from slipstream.engine.bounds import bound_of
from slipstream.engine.build import Built, build
from slipstream.engine.evaluation import norm_renewal, weights_for_evaluation
from slipstream.engine.events import Finished, Observer, Started
from slipstream.engine.feed import Feed, evaluation_batches
from slipstream.engine.fingerprint import fingerprint
from slipstream.engine.keras_loop import KerasLoop, rates_for_keras
from slipstream.engine.landscape import landscape
from slipstream.engine.limits import Limits
from slipstream.engine.memory import HandBack
from slipstream.engine.open_program import open_for
from slipstream.engine.own_loop import OwnLoop, evaluation_batch_size
from slipstream.engine.pipeline import Pipeline, prepared, refuse_idle
from slipstream.engine.rates import applied_to_rates, cycle_momentum, rates_of
from slipstream.engine.recorder import Recorder
from slipstream.engine.wrong_images import refuse_other_than_images
from slipstream.environment import environment, peak_memory_bytes
from slipstream.errors import InputError, PlanError, TrainingError
from slipstream.loss_surface import LandscapeSettings, write_landscape
from slipstream.plan import Plan
from slipstream.plan.accounting import unapplied
from slipstream.plan.losses import changes_loss
from slipstream.record import (
    WEIGHTS_FILE,
    Bound,
    Failure,
    Outcome,
    Record,
    Timings,
    write_record,
)
from slipstream.task import Task


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
class _Job:
    """What is to be run, where it goes, and what the record says of its beginning."""

    task: Task
    plan: Plan
    data: Data
    folder: Path | None
    origin: Origin
    started_at: str


@dataclass
class _Run:
    """What has been reached so far: enough to write a record at any moment."""

    built: Built | None = None
    loop: OwnLoop | KerasLoop | None = None
    test_values: dict[str, float] | None = None
    failure: Failure | None = None


def train(
    task: Task,
    plan: Plan,
    *,
    data: Data | None = None,
    folder: Path | None = None,
    observers: Sequence[Observer] = (),
    limits: Limits | None = None,
    evaluate_test: bool = False,
    origin: Origin | None = None,
) -> Record:
    """Train a task as a plan says, in this process, on the backend Keras runs on.

    Args:
        task: The task.
        plan: The plan.
        data: The task's data, where they are loaded already.
        folder: Where record, metrics and best weights are written; None writes nothing.
        observers: Called with every event; True asks to stop.
        limits: What may end the run before its plan does.
        evaluate_test: Whether the test split is read, once, after the last update.
        origin: What the record says of the time before.

    Returns:
        The record. A run that failed has the outcome "failed" and says why.

    Raises:
        InputError: Task, data or plan cannot be used. Nothing was trained.
        KeyboardInterrupt: After the record of the interrupted run was written.
    """
    origin = origin or Origin()
    if data is None:
        data, origin = _load(task, origin)
    job = _Job(task, plan, data, folder, origin, datetime.now(UTC).isoformat(timespec="seconds"))
    thrift = [HandBack()] if plan.data.memory_budget != "auto" else []
    recorder = Recorder(task, plan, folder, [*observers, *thrift])
    run = _Run()
    try:
        outcome = _outcome(job, recorder, run, limits or Limits(), evaluate_test)
    except InputError:
        recorder.close()
        raise
    except KeyboardInterrupt:
        _save_best_so_far(run, recorder, folder)
        _written(job, recorder, run, "interrupted")
        raise
    return _written(job, recorder, run, outcome)


def check(task: Task, plan: Plan, data: Data) -> None:
    """Prepare a training as `train` does, and train nothing.

    Raises:
        InputError: Task, data or plan cannot be used.
    """
    try:
        _prepare(task, plan, data)
    except InputError:
        raise
    except Exception:
        # That is a fact of the run that meets it, and goes into its record.
        return


def _load(task: Task, origin: Origin) -> tuple[Data, Origin]:
    start = time.perf_counter()
    data = to_data(task.data())
    load_seconds = time.perf_counter() - start
    return data, Origin(origin.reference, origin.import_seconds, load_seconds)


def _outcome(job: _Job, recorder: Recorder, run: _Run, limits: Limits, evaluate_test: bool) -> str:
    """Train, evaluate and save; a failure is noted, and is an outcome too."""
    try:
        pipeline = prepared(job.data, job.plan)
        try:
            with run_eagerly(job.plan.runtime.eager):
                outcome = _train(job.task, job.plan, pipeline, recorder, run, limits)
        finally:
            # The run is looked at for a while yet, and needs no examples any more.
            pipeline.release()
        if evaluate_test:
            run.test_values = _evaluate_test(run, job.data, job.plan)
        if job.folder is not None:
            _save_weights(run, job.folder)
        if job.plan.monitoring.landscape:
            _look_around(job, run)
    except InputError:
        raise
    except TrainingError as error:
        run.failure = Failure(kind="Diverged", message=str(error))
        _save_best_so_far(run, recorder, job.folder)
        return "failed"
    except Exception as error:
        # Whatever the model or the backend raises is a fact of this run, not the end of a study.
        run.failure = _failure(error)
        return "failed"
    return outcome


def _written(job: _Job, recorder: Recorder, run: _Run, outcome: str) -> Record:
    recorder.close()
    facts = _record(job, recorder, run, outcome)
    if job.folder is not None:
        write_record(facts, job.folder)
    recorder.tell(Finished(facts))
    return facts


def _failure(error: Exception) -> Failure:
    message = str(error).strip().splitlines()
    return Failure(kind=type(error).__name__, message=message[0] if message else "")


def _train(
    task: Task, plan: Plan, pipeline: Pipeline, recorder: Recorder, run: _Run, limits: Limits
) -> str:
    data = pipeline.data
    built, feed, rates = _prepare(task, plan, data)
    built.applied.update(pipeline.applied)
    run.built = built
    own = plan.runtime.loop == "slipstream"
    if own:
        program = open_for(built, plan, feed)
        loop: OwnLoop | KerasLoop = OwnLoop(built, program, feed, rates, data, plan, recorder)
    else:
        loop = KerasLoop(built, rates, data, plan, recorder)
    run.loop = loop
    state_applied(task, plan, built, feed, data.train.num_examples)
    recorder.clock.add("build", recorder.clock.seconds)
    recorder.tell(Started(plan, len(rates), feed.updates_per_epoch))
    try:
        outcome = loop.run(limits)
    except BaseException:
        if isinstance(loop, OwnLoop):
            # What is kept of a run that was cut short is read from Keras' variables.
            with suppress(Exception):
                loop.synchronize()
        raise
    recorder.clock.add("total", recorder.clock.seconds)
    if own:
        _leave_final_weights(built.model, recorder, norm_renewal(plan, data.train))
    elif recorder.best_weights is not None:
        built.model.set_weights(recorder.best_weights)
    return outcome


def _prepare(task: Task, plan: Plan, data: Data) -> tuple[Built, Feed, NDArray[np.float64]]:
    _check_monitor(task, plan)
    refuse_other_than_images(plan, data)
    refuse_idle(plan, data)
    feed = Feed(data.train, plan)
    rates = rates_of(plan, feed)
    own = plan.runtime.loop == "slipstream"
    built = build(task, plan, data, float(rates[0]) if own else rates_for_keras(rates))
    cycle_momentum(plan, feed, built.model.optimizer)
    built.applied.update(applied_to_rates(plan, feed))
    return built, feed, rates


def _leave_final_weights(
    model: Any, recorder: Recorder, renew: Callable[[Any], None] | None
) -> None:
    """Leave the best weights in the model, or the averaged ones, or those of the last update."""
    if recorder.best_weights is not None:
        model.set_weights(recorder.best_weights)
        return
    with weights_for_evaluation(model, renew):
        judged = [np.array(variable) for variable in model.weights]
    model.set_weights(judged)


def _evaluate_test(run: _Run, data: Data, plan: Plan) -> dict[str, float] | None:
    if data.test is None or run.built is None:
        return None
    model = run.built.model
    with run.built.judged_by_the_task():
        program = open_program(model, plan.runtime.backend, jit=False)
        return program.evaluate(evaluation_batches(data.test, evaluation_batch_size(32)))


def _look_around(job: _Job, run: _Run) -> None:
    """Compute the loss around the final weights; the clock has stopped."""
    assert run.built is not None
    settings = LandscapeSettings(seed=job.plan.seeds.seed)
    seen = landscape(run.built, job.data, settings, job.task.name)
    run.built.applied["monitoring.landscape"] = seen.sentence()
    if job.folder is not None:
        write_landscape(seen, job.folder)


def _save_best_so_far(run: _Run, recorder: Recorder, folder: Path | None) -> None:
    if folder is None or run.built is None or recorder.best_weights is None:
        return
    run.built.model.set_weights(recorder.best_weights)
    _save_weights(run, folder)


def _save_weights(run: _Run, folder: Path) -> None:
    assert run.built is not None
    # Keras writes in place and wants this ending: write beside, then rename.
    beside = folder / f"part.{WEIGHTS_FILE}"
    run.built.stored.save_weights(beside)
    beside.replace(folder / WEIGHTS_FILE)


def _check_monitor(task: Task, plan: Plan) -> None:
    penalised = plan.regularization.l1 > 0 or plan.regularization.l2 > 0
    changes = penalised or changes_loss(plan)
    if plan.runtime.loop == "keras" and task.monitor == "val_loss" and changes:
        raise PlanError(
            "runtime.loop = 'slipstream' where the plan changes the loss that is watched",
            "runtime.loop = 'keras', where val_loss has the plan's loss, penalty and smoothing",
            "Set runtime.loop = 'slipstream', or watch another metric.",
        )


def _bound(job: _Job, recorder: Recorder, run: _Run) -> Bound | None:
    if run.built is None or run.loop is None:
        return None
    spent, loop = recorder.clock.spent, run.loop
    return bound_of(spent, loop.examples, loop.update, run.built.model, job.data.train, job.plan)


def _notes(plan: Plan, run: _Run, outcome: str) -> list[str]:
    if run.built is None:
        return []
    notes = list(run.built.notes)
    # What a run does last is not stated where it was cut short.
    missing = () if outcome in ("failed", "interrupted") else unapplied(plan, run.built.applied)
    if missing:
        notes.append(f"Nothing is known of what was done of {', '.join(missing)}.")
    return notes


def _record(job: _Job, recorder: Recorder, run: _Run, outcome: str) -> Record:
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
        notes=_notes(plan, run, outcome),
        bound=_bound(job, recorder, run) if outcome != "failed" else None,
        events=recorder.signals,
        points=recorder.points,
    )

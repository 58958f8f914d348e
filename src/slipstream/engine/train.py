"""The engine: runs (task, plan) in this process and returns a record."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipstream.backends import open_program, run_eagerly
from slipstream.data.splits import Data, to_data
from slipstream.engine.applied import state_applied
from slipstream.engine.build import Built, build
from slipstream.engine.evaluation import norm_renewal, weights_for_evaluation
from slipstream.engine.events import Finished, Observer, Resumed, Started
from slipstream.engine.feed import Feed, evaluation_batch_size, evaluation_batches
from slipstream.engine.identity import identity_of, on_another_machine
from slipstream.engine.job import Job, Origin, Run, record_of
from slipstream.engine.keeping import Keeper, Keeping, kept_in
from slipstream.engine.keras_loop import KerasLoop, rates_for_keras
from slipstream.engine.landscape import landscape
from slipstream.engine.limits import Limits
from slipstream.engine.memory import HandBack
from slipstream.engine.open_program import open_for
from slipstream.engine.own_loop import OwnLoop
from slipstream.engine.pipeline import Pipeline, prepared, refuse_idle
from slipstream.engine.rates import applied_to_rates, cycle_momentum, rates_of
from slipstream.engine.recorder import Recorder
from slipstream.engine.snapshot import Running, unresumable
from slipstream.engine.wrong_images import refuse_other_than_images
from slipstream.errors import InputError, PlanError, StorageError, TrainingError
from slipstream.files import put_in_place
from slipstream.loss_surface import LandscapeSettings, write_landscape
from slipstream.plan import Plan
from slipstream.plan.losses import changes_loss
from slipstream.record import (
    WEIGHTS_FILE,
    Failure,
    Record,
    write_record,
)
from slipstream.task import Task

KERAS_WRAPS = "Exception encountered when calling"
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


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
    keeping: Keeping | None = None,
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
        keeping: How checkpoints of the run are kept in its folder; None keeps none. Going on from
            one gives, bit for bit, what the run would have given.

    Returns:
        The record. A run that failed has the outcome "failed" and says why.

    Raises:
        InputError: Task, data or plan cannot be used, or the folder holds a run that is not to be
            gone on with. Nothing was trained.
        KeyboardInterrupt: After the record of the interrupted run was written.
    """
    origin = origin or Origin()
    if data is None:
        data, origin = _load(task, origin)
    job = Job(task, plan, data, folder, origin, datetime.now(UTC).isoformat(timespec="seconds"))
    with _kept(job, keeping) as job:
        return _run(job, observers, limits, evaluate_test)


@contextmanager
def _kept(job: Job, keeping: Keeping | None) -> Iterator[Job]:
    """Within it checkpoints of a job are kept, if there is a folder for them."""
    if keeping is None or job.folder is None:
        yield job
        return
    identity = identity_of(job.task, job.plan, job.data)
    with kept_in(job.folder, keeping, identity) as keeper:
        yield replace(job, identity=identity, keeper=keeper)


def _run(
    job: Job, observers: Sequence[Observer], limits: Limits | None, evaluate_test: bool
) -> Record:
    folder = job.folder
    thrift = [HandBack()] if job.plan.data.memory_budget != "auto" else []
    watching: Sequence[Observer] = [*observers, *thrift]
    recorder = Recorder(job.task, job.plan, folder, watching, goes_on=bool(job.found))
    run = Run()
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


def _outcome(job: Job, recorder: Recorder, run: Run, limits: Limits, evaluate_test: bool) -> str:
    """Train, evaluate and save; a failure is noted, and is an outcome too."""
    try:
        pipeline = prepared(job.data, job.plan)
        try:
            with run_eagerly(job.plan.runtime.eager):
                outcome = _train(job, pipeline, recorder, run, limits)
        finally:
            # The run is looked at for a while yet, and needs no examples any more.
            pipeline.release()
        if job.keeper is not None:
            job.keeper.finish()
        is_over = outcome != "interrupted"
        if evaluate_test and is_over:
            run.test_values = _evaluate_test(run, job.data, job.plan)
        if job.folder is not None:
            _save_weights(run, job.folder)
        if job.plan.monitoring.landscape and is_over:
            _look_around(job, run)
    except InputError:
        raise
    except StorageError as error:
        run.failure = Failure(kind="StorageError", message=str(error))
        return "failed"
    except TrainingError as error:
        run.failure = Failure(kind="Diverged", message=str(error))
        _save_best_so_far(run, recorder, job.folder)
        return "failed"
    except Exception as error:
        # Whatever the model or the backend raises is a fact of this run, not the end of a study.
        run.failure = _failure(error)
        return "failed"
    return outcome


def _written(job: Job, recorder: Recorder, run: Run, outcome: str) -> Record:
    recorder.close()
    facts = record_of(job, recorder, run, outcome)
    if job.folder is not None:
        write_record(facts, job.folder)
    return _told_the_end(facts, recorder, job.folder)


def _told_the_end(facts: Record, recorder: Recorder, folder: Path | None) -> Record:
    try:
        recorder.tell(Finished(facts))
    except Exception as error:
        # The run is over, and stands: what an observer makes of that cannot undo it.
        note = f"An error after the run was over: {type(error).__name__}: {error}."
        facts = facts.model_copy(update={"notes": [*facts.notes, note]})
        if folder is not None:
            write_record(facts, folder)
    return facts


def _failure(error: Exception) -> Failure:
    # A process that trains writes it into the log of its run.
    logging.getLogger("slipstream").error("The training ended with an error", exc_info=error)
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith(KERAS_WRAPS):
        # The reason stands below.
        lines[0] = f"{lines[0].rstrip('.')}: {lines[1]}"
    return Failure(kind=type(error).__name__, message=lines[0] if lines else "")


def _train(job: Job, pipeline: Pipeline, recorder: Recorder, run: Run, limits: Limits) -> str:
    task, plan, data = job.task, job.plan, pipeline.data
    built, feed, rates = _prepare(task, plan, data, job.found)
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
    if job.keeper is not None:
        _keep(job, job.keeper, Running(built, loop, recorder, job.identity), feed)
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


def _keep(job: Job, keeper: Keeper, run: Running, feed: Feed) -> None:
    """Keep a run from now on, or say why not; put it back to where it is to go on from."""
    reason = unresumable(run.built.model)
    if reason:
        run.built.notes.append(f"No checkpoints: {reason}.")
        return
    keeper.keep(run, feed.updates_per_epoch)
    run.loop.keeper = keeper
    if keeper.found is None:
        return
    skipped = keeper.found.skipped
    moved = on_another_machine(job.found["identity"], job.identity)
    run.built.notes.extend([*skipped, *([moved] if moved else [])])
    update = keeper.found.snapshot.update
    run.recorder.tell(Resumed(update, update / feed.updates_per_epoch, skipped))


def _prepare(
    task: Task, plan: Plan, data: Data, found: Mapping[str, Any] | None = None
) -> tuple[Built, Feed, NDArray[np.float64]]:
    """Build what is trained: as an earlier sitting left it, where it found something out."""
    _check_monitor(task, plan)
    refuse_other_than_images(plan, data)
    refuse_idle(plan, data)
    feed = Feed(data.train, plan, found["loop"].get("at_a_time") if found else None)
    rates = rates_of(plan, feed)
    own = plan.runtime.loop == "slipstream"
    first = float(rates[0]) if own else rates_for_keras(rates)
    known = found["built"]["float32_layers"] if found else None
    built = build(task, plan, data, first, known)
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


def _evaluate_test(run: Run, data: Data, plan: Plan) -> dict[str, float] | None:
    if data.test is None or run.built is None:
        return None
    model = run.built.model
    with run.built.judged_by_the_task():
        program = open_program(model, plan.runtime.backend, jit=False)
        return program.evaluate(evaluation_batches(data.test, evaluation_batch_size(32)))


def _look_around(job: Job, run: Run) -> None:
    """Compute the loss around the final weights; the clock has stopped."""
    assert run.built is not None
    settings = LandscapeSettings(seed=job.plan.seeds.seed)
    seen = landscape(run.built, job.data, settings, job.task.name)
    run.built.applied["monitoring.landscape"] = seen.sentence()
    if job.folder is not None:
        write_landscape(seen, job.folder)


def _save_best_so_far(run: Run, recorder: Recorder, folder: Path | None) -> None:
    if folder is None or run.built is None or recorder.best_weights is None:
        return
    run.built.model.set_weights(recorder.best_weights)
    _save_weights(run, folder)


def _save_weights(run: Run, folder: Path) -> None:
    assert run.built is not None
    # Keras writes in place, syncs nothing, and wants this ending.
    beside = folder / f"part.{WEIGHTS_FILE}"
    # HDF5 would follow a link that somebody left there.
    beside.unlink(missing_ok=True)
    run.built.stored.save_weights(beside)
    put_in_place(beside, folder / WEIGHTS_FILE)


def _check_monitor(task: Task, plan: Plan) -> None:
    penalised = plan.regularization.l1 > 0 or plan.regularization.l2 > 0
    changes = penalised or changes_loss(plan)
    if plan.runtime.loop == "keras" and task.monitor == "val_loss" and changes:
        raise PlanError(
            "runtime.loop = 'slipstream' where the plan changes the loss that is watched",
            "runtime.loop = 'keras', where val_loss has the plan's loss, penalty and smoothing",
            "Set runtime.loop = 'slipstream', or watch another metric.",
            code="SLP-131",
        )

"""One training of a task as a plan says, in a fresh process, with its record and report."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from slipstream import report
from slipstream.checkpoint.every import Every
from slipstream.commands._notes import COMMAND_FILE, FitNotes, write_notes
from slipstream.commands._writing import (
    command_line,
    environment_of,
    findings_of,
    labelled,
    signal_in_words,
    write_report,
)
from slipstream.commands.durations import seconds_in_words
from slipstream.commands.folders import LANDSCAPE_PICTURE, PLAN_FILE, REPORT_FILE, claimed
from slipstream.commands.going_on import (
    begun_with,
    finished_run,
    is_under_way,
    lost_files,
    notices,
    plan_to_go_on_with,
    refuse_taken,
)
from slipstream.commands.interrupt import (
    PATIENCE_SECONDS,
    Asked,
    Terminated,
    first_interrupt_asks,
)
from slipstream.commands.look import as_given, launch_for, look, not_opened, on_installed
from slipstream.commands.so_far import record_so_far
from slipstream.loss_surface import LANDSCAPE_FILE, read_landscape
from slipstream.measure import Failed, Job, Launch, Worker, require_backend
from slipstream.measure.interleave import failed_record
from slipstream.measure.messages import (
    Happening,
    Train,
    TrainingEvaluated,
    TrainingProgress,
    TrainingResumed,
    TrainingSignalled,
)
from slipstream.messages import code_of_signal
from slipstream.plan import Plan, Value, to_toml, write_plan
from slipstream.progress import Listener, Notice, StageDone, StageStarted, Step, silent
from slipstream.record import METRICS_FILE, Record, write_record
from slipstream.report.landscape import write_picture
from slipstream.task import TaskFacts

STOPPING = (
    f"Stopping after the update that runs, and keeping it: within {PATIENCE_SECONDS:.0f} seconds."
)
NO_CHANGES: Mapping[str, Value] = MappingProxyType({})


def fit(
    reference: str,
    plan: Plan | None,
    folder: Path,
    *,
    changes: Mapping[str, Value] = NO_CHANGES,
    evaluate_test: bool = False,
    resume: bool = False,
    checkpoint_every: str = "auto",
    listener: Listener = silent,
) -> Record:
    """Train a task once, after a look at it, and write record, weights, plan and report.

    The training has a process of its own, so that its clock starts as cold as in a comparison. It
    is saved as it goes; one that was interrupted, however that was, goes on exactly there.

    Args:
        reference: The task, as a fresh process can rebuild it.
        plan: The plan, or None for the task as given.
        folder: The run's folder: new, or empty; with `resume`, one that holds the run.
        changes: Dotted keys of the plan that are to be changed.
        evaluate_test: Whether the test split is read, once, after the last update.
        resume: Whether to go on with the run in the folder. Without plan and changes it has the
            plan that it began with. One that is finished is not trained again.
        checkpoint_every: How often it is saved, as `Every.parse` takes it.
        listener: Told what happens.

    Returns:
        The record; its outcome is "failed" where the training could not go on.

    Raises:
        InputError: Task, data or plan cannot be used, or the folder holds another run or is
            another process's; nothing was trained.
        TrainingError: The process that looks at the task ended.
        KeyboardInterrupt: After the training was asked to stop; the record is in the folder.
    """
    Every.parse(checkpoint_every)
    launch = launch_for(reference, folder)
    refuse_taken(folder)
    wanted = on_installed(plan) if plan is not None else None
    kept: FitNotes | None = None
    if resume:
        kept = begun_with(folder, launch.reference)
        finished = finished_run(folder, wanted, changes, kept)
        if finished is not None:
            return _told_finished(folder, finished, kept, listener)
        wanted = plan_to_go_on_with(folder, wanted, changes, kept)
        wanted = on_installed(wanted) if wanted is not None else None
    if "runtime.backend" in changes:
        require_backend(str(changes["runtime.backend"]))
    # A worker refuses a plan before its first update, when this is all that there is.
    traces = (COMMAND_FILE, PLAN_FILE, METRICS_FILE)
    goes_on = resume and is_under_way(folder)
    lost = lost_files(folder) if goes_on else ()
    marker = "" if goes_on else COMMAND_FILE
    with claimed(folder, resume=resume, marker=marker, traces=traces):
        for notice in notices(folder, kept) if resume else ():
            listener(notice)
        facts, warnings = look(launch, None, wanted, listener, changes)
        chosen = (wanted or as_given(facts)).edit(changes)
        notes = FitNotes.of(launch.reference, facts, warnings)
        if not goes_on:
            # Another plan than the run's is refused by its checkpoint, and must not replace it.
            _write_begin(folder, notes, chosen)
        start = time.monotonic()
        listener(StageStarted("train", _what(facts, chosen)))
        job = Job("run", chosen, folder)
        request = Train(
            plan=chosen,
            folder=str(folder.absolute()),
            evaluate_test=evaluate_test,
            checkpoint_every=checkpoint_every,
            resume=resume,
            callbacks=True,
        )
        record, asked = _train(launch, facts, job, request, listener)
        if record.failure is None:
            _write_begin(folder, notes, chosen, lost)
        write_fit_report(folder, record, notes)
        listener(StageDone("train", in_words(record), time.monotonic() - start))
        if asked is not None:
            asked.interrupt()
        return record


def _told_finished(
    folder: Path, record: Record, notes: FitNotes | None, listener: Listener
) -> Record:
    """Say that there is nothing to train; the report is written where it is missing."""
    ended = "is finished" if record.failure is None else "failed for good"
    listener(Notice(f"{folder} holds this run, and it {ended}: nothing was trained."))
    if notes is not None and not (folder / REPORT_FILE).exists():
        write_fit_report(folder, record, notes)
    return record


def _write_begin(
    folder: Path, notes: FitNotes, plan: Plan, names: Sequence[str] = (COMMAND_FILE, PLAN_FILE)
) -> None:
    if COMMAND_FILE in names:
        write_notes(folder, notes)
    if PLAN_FILE in names:
        write_plan(plan, folder / PLAN_FILE)


def in_words(record: Record) -> str:
    """Return what came of a run in one sentence, without a full stop."""
    if record.failure is not None:
        # "error" says no more than the message does.
        kind = "" if record.failure.kind == "error" else f"{record.failure.kind}: "
        return f"failed: {kind}{record.failure.message}"
    seconds = seconds_in_words(record.timings.clock_seconds)
    if record.best_value is None:
        # A metric may have a value where no loss has one.
        value = record.final_values.get(record.monitor, math.nan)
        missing = "loss" if math.isfinite(value) else record.monitor
        return f"no finite {missing} in {seconds}"
    text = f"{record.monitor} {record.best_value:.4f} after {seconds}"
    if record.target is not None:
        first = record.seconds_to(record.target)
        met = f"met after {seconds_in_words(first)}" if math.isfinite(first) else "not met"
        text += f"; the target {record.target:g} was {met}"
    return text


def write_fit_report(folder: Path, record: Record, notes: FitNotes, said: str = "") -> Path:
    """Write the report of a single run into its folder, and its landscape's picture if it has one.

    `said` stands in it as a warning. Returns the report's path.
    """
    if (folder / LANDSCAPE_FILE).exists():
        write_picture(read_landscape(folder), folder / LANDSCAPE_PICTURE)
    plan = Plan.from_dict(record.plan)
    machine, versions = environment_of([record])
    content = report.ReportInput(
        task=record.task,
        monitor=record.monitor,
        mode=record.mode,
        target=record.target,
        sides=(report.Side(label="this run", role="run", records=(record,)),),
        plan=to_toml(plan),
        changes=labelled(plan, Plan.from_dict(notes.as_given)),
        machine=machine,
        versions=versions,
        reproduce=(command_line("fit", notes.reference, "--plan", folder / PLAN_FILE),),
        notices=(report.Notice(title="Not finished", text=said, warning=True),) if said else (),
    )
    return write_report(folder, content, findings_of(notes.warnings))


def _train(
    launch: Launch, facts: TaskFacts, job: Job, request: Train, listener: Listener
) -> tuple[Record, Asked | None]:
    """Return the record, and what interrupted the run if something did."""
    worker = launch.worker(job.plan.runtime.backend, "train")
    try:
        # Until it trains there is nothing that a wish could wait for: Ctrl-C ends it at once.
        opened = worker.open()
    except KeyboardInterrupt as error:
        return _salvage(job, facts), Asked.by(error)
    if isinstance(opened, Failed):
        worker.end()
        raise not_opened(opened, launch.reference)

    def stop() -> None:
        worker.stop()
        listener(Notice(STOPPING))

    with first_interrupt_asks(stop) as asked:

        def happened(told: Happening) -> bool:
            step = _step(told, facts)
            if step is not None and not asked.is_set():
                listener(step)
            return asked.is_set()

        try:
            answer = worker.train(request, happened)
        except KeyboardInterrupt as error:
            return _salvage(job, facts), Asked.by(error)
        stopped = asked if asked.is_set() else None
    # The training is over and its record written: Ctrl-C ends the worker, and the record stays.
    stopped = _closed(worker) or stopped
    if isinstance(answer, Failed):
        return _salvage(job, facts, answer), stopped
    record = answer.record
    if record.outcome == "interrupted" and stopped is None:
        # Somebody asked the worker itself to end.
        stopped = Asked.by(Terminated())
    return record, stopped


def _closed(worker: Worker) -> Asked | None:
    """Close a worker that has answered; return what interrupted that if something did."""
    try:
        worker.close()
    except KeyboardInterrupt as error:
        worker.end()
        return Asked.by(error)
    return None


def _salvage(job: Job, facts: TaskFacts, failed: Failed | None = None) -> Record:
    """Return the record of a run that was ended in its middle, from what it had written."""
    try:
        record = record_so_far(job, facts, failed)
    except (OSError, ValueError):
        # What it wrote cannot be read: that it failed is to be told all the same.
        if failed is None:
            raise
        record = failed_record(job, facts, failed)
    write_record(record, job.folder)
    return record


def _what(facts: TaskFacts, plan: Plan) -> str:
    epochs = f"{plan.duration.epochs} epochs" if plan.duration.epochs > 1 else "1 epoch"
    return f"Training {facts.name} on {plan.runtime.backend}, {epochs}"


def _step(told: Happening, facts: TaskFacts) -> Step | Notice | None:
    if isinstance(told, TrainingSignalled):
        code = code_of_signal(told.signal.kind)
        return Notice(signal_in_words(told.signal), warning=True, code=code)
    if isinstance(told, TrainingResumed):
        skipped = "".join(f" {sentence}" for sentence in told.skipped)
        text = f"Going on after update {told.update:,} (epoch {told.epoch:.2f}).{skipped}"
        return Notice(text, warning=bool(skipped), code="SLP-521" if skipped else "")
    if isinstance(told, TrainingProgress):
        text = f"epoch {told.epoch:.1f}, {told.examples_per_second:,.0f} examples/s"
        return Step("train", text, told.update / max(1, told.total_updates), passing=True)
    if isinstance(told, TrainingEvaluated):
        value = told.point.values.get(facts.monitor, math.nan)
        best = ", the best so far" if told.is_best else ""
        seconds = seconds_in_words(told.point.seconds)
        return Step(
            "train", f"epoch {told.point.epoch:.1f}, {seconds}: {facts.monitor} {value:.4f}{best}"
        )
    return None

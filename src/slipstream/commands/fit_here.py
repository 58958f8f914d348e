"""One training of a task as a plan says, in this process: sooner, and to be stepped through."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from slipstream import doctor, tasks
from slipstream.checkpoint.every import Every
from slipstream.commands._notes import FitNotes, write_notes
from slipstream.commands.fit import _step, _what, in_words, write_fit_report
from slipstream.commands.folders import PLAN_FILE
from slipstream.commands.look import on_installed, tell_look
from slipstream.errors import BackendError
from slipstream.measure.messages import Happening
from slipstream.measure.worker import Teller
from slipstream.plan import Plan, Value, write_plan
from slipstream.progress import Listener, StageDone, StageStarted, silent
from slipstream.record import Record
from slipstream.task import TaskFacts


def fit_here(
    reference: str,
    plan: Plan | None,
    folder: Path,
    *,
    changes: Mapping[str, Value],
    evaluate_test: bool = False,
    checkpoint_every: str = "auto",
    listener: Listener = silent,
) -> Record:
    """Train a task once in this process; writes what `fit` writes.

    No process is started: a debugger sees the task's functions, and a second training begins at
    once. Its clock does not start as cold as that of a process of its own.

    Args:
        reference: The task, as `slipstream.tasks.resolve` takes it.
        plan: The plan, or None for the task as given, on this process's backend.
        folder: The run's folder, claimed by the caller.
        changes: Dotted keys of the plan that are to be changed.
        evaluate_test: Whether the test split is read, once, after the last update.
        checkpoint_every: How often it is saved, as `Every.parse` takes it.
        listener: Told what happens.

    Raises:
        InputError: Task, data or plan cannot be used, or the plan is for another backend than
            the one that Keras runs on here; nothing was trained.
    """
    start = time.monotonic()
    every = Every.parse(checkpoint_every)
    engine, backend = _engine()
    from slipstream.data import to_data
    from slipstream.observers import TensorBoardWriter

    listener(StageStarted("look", "Looking at the task, its data and its model"))
    reference = tasks.absolute(reference)
    task = tasks.resolve(reference)
    data = to_data(task.data())
    load_seconds = time.monotonic() - start
    facts, model = engine.look(task, reference, data)
    chosen = plan if plan is not None else on_installed(facts.as_given)
    if plan is None and "runtime.backend" not in changes:
        chosen = chosen.adapt({"runtime.backend": backend})
    chosen = chosen.edit(changes)
    _require(backend, chosen)
    case = doctor.Case(data, model, chosen, task.monitor, task.name, target=task.target)
    findings = doctor.examine(case)
    doctor.refuse(findings)
    engine.check(task, chosen, data)
    callbacks = tasks.callbacks_of(task)
    tell_look(facts, findings, listener, start)
    notes = FitNotes.of(reference, facts, findings)
    write_notes(folder, notes)
    write_plan(chosen, folder / PLAN_FILE)

    start = time.monotonic()
    listener(StageStarted("train", _what(facts, chosen)))
    record: Record = engine.train(
        task,
        chosen,
        data=data,
        folder=folder,
        observers=(Teller(_Ear(facts, listener), 0), *callbacks, TensorBoardWriter(folder)),
        evaluate_test=evaluate_test,
        origin=engine.Origin(reference, 0.0, load_seconds),
        keeping=engine.Keeping(every),
    )
    write_fit_report(folder, record, notes)
    listener(StageDone("train", in_words(record), time.monotonic() - start))
    return record


@final
class _Ear:
    """Hears what a worker would tell its manager."""

    def __init__(self, facts: TaskFacts, listener: Listener) -> None:
        self.stop_asked = threading.Event()
        self.is_interruptible = False
        self._facts = facts
        self._listener = listener

    def say(self, number: int, body: Happening) -> None:  # noqa: ARG002
        """Pass it on."""
        step = _step(body, self._facts)
        if step is not None:
            self._listener(step)


def _engine() -> tuple[Any, str]:
    """Return the engine and the backend that Keras runs on here; imports Keras."""
    from slipstream import engine

    return engine, str(sys.modules["keras"].backend.backend())


def _require(backend: str, plan: Plan) -> None:
    if plan.runtime.backend != backend:
        raise BackendError(
            f"a plan for {backend}, on which Keras runs in this process",
            f"runtime.backend = '{plan.runtime.backend}'",
            "Set KERAS_BACKEND before Keras is imported, or let it have a process of its own "
            "(own_process=True).",
            code="SLP-036",
        )

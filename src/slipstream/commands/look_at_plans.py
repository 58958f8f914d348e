"""One look at a task and at every plan that is to be trained, before the first training."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, KeysView, Mapping
from dataclasses import dataclass
from functools import partial
from typing import final

from slipstream.commands.look import asked, tell_look, warnings_in
from slipstream.doctor import Finding
from slipstream.errors import InputError, TrainingError
from slipstream.measure import Failed, Launch, Worker
from slipstream.measure.messages import Look
from slipstream.plan import Plan
from slipstream.progress import Listener, StageStarted, silent
from slipstream.task import TaskFacts


@dataclass(frozen=True)
class PlansLookedAt:
    """What a look at a task and several plans found.

    Args:
        facts: The task's facts.
        warnings: Of the first look and of all plans.
        refused: Why further plans cannot be trained, by their names.
    """

    facts: TaskFacts
    warnings: tuple[Finding, ...]
    refused: dict[str, InputError]


def look_at_plans(
    launch: Launch,
    plans: Mapping[str, Plan],
    listener: Listener = silent,
    further: Callable[[TaskFacts], Mapping[str, Plan]] | None = None,
    target: float | None = None,
) -> PlansLookedAt:
    """Look at a task as `look` does, and refuse every plan that could not be trained.

    Each plan's model is built and compiled as in a training, in one process for each backend.

    Args:
        launch: How the processes are started; see `launch_for`.
        plans: The plans, by what messages call them; the first says where the first look is.
        listener: Told what happens.
        further: Returns more plans when the facts are known; these may be refused.
        target: What is raced to in the place of the task's target; the task's own if None.

    Raises:
        InputError: Task, data or one of the plans cannot be used; nothing was trained.
        TrainingError: A process ended before it could say anything.
    """
    start = time.monotonic()
    listener(StageStarted("look", "Looking at the task, its data, its model and the plans"))
    first, *_ = plans.values()
    main = first.runtime.backend

    def look_first(worker: Worker) -> _Looked | Failed:
        looked = worker.look(Look(plan=first, target=target))
        if isinstance(looked, Failed):
            return looked
        warnings = dict.fromkeys(warnings_in(looked.findings))
        checks = _Checks(plans, further(looked.task) if further is not None else {})
        found = checks.run(worker, main)
        return found if isinstance(found, Failed) else (looked.task, checks, warnings | found)

    facts, checks, warnings = asked(launch, main, look_first)

    def check(worker: Worker, backend: str) -> dict[Finding, None] | Failed:
        looked = worker.look(Look(plan=first, target=target))
        return looked if isinstance(looked, Failed) else checks.run(worker, backend)

    for backend in checks.backends:
        if backend != main:
            warnings |= asked(launch, backend, partial(check, backend=backend))
    tell_look(facts, tuple(warnings), listener, start)
    return PlansLookedAt(facts, tuple(warnings), checks.refused)


_Looked = tuple[TaskFacts, "_Checks", dict[Finding, None]]


@final
class _Checks:
    def __init__(self, plans: Mapping[str, Plan], more: Mapping[str, Plan]) -> None:
        self._plans = {**plans, **more}
        self._may_be_refused = more.keys() - plans.keys()
        self.refused: dict[str, InputError] = {}

    @property
    def backends(self) -> KeysView[str]:
        """The backends of all plans, in their order."""
        return dict.fromkeys(plan.runtime.backend for plan in self._plans.values()).keys()

    def run(self, worker: Worker, backend: str) -> dict[Finding, None] | Failed:
        """Check the plans of one backend; returns the warnings, or what became of the worker."""
        warnings: dict[Finding, None] = {}
        for name, plan in self._plans.items():
            if plan.runtime.backend != backend:
                continue
            try:
                checked = worker.check(name, plan)
            except InputError as error:
                if name not in self._may_be_refused:
                    raise
                self.refused[name] = error
            else:
                if isinstance(checked, Failed):
                    return checked
                warnings |= dict.fromkeys(warnings_in(checked.findings))
        return warnings


@contextlib.contextmanager
def past_checks() -> Iterator[None]:
    """Within it something was trained: what is refused now ends the command with 1, not with 2."""
    try:
        yield
    except InputError as error:
        raise TrainingError(error.expected, error.came, error.mend, code=error.code) from None

"""One look at a task before anything is trained: its facts, and what is wrong with it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from slipstream import doctor, tasks
from slipstream.commands.folders import LOG_FOLDER
from slipstream.doctor import Finding
from slipstream.errors import BackendError, TaskError, TrainingError
from slipstream.measure import (
    Failed,
    Launch,
    Worker,
    how_to_install,
    installed_backends,
    require_backend,
)
from slipstream.measure.again import once_more
from slipstream.measure.messages import Look
from slipstream.plan import Plan, Value
from slipstream.progress import Listener, Notice, StageDone, StageStarted, silent
from slipstream.task import TaskFacts

Answer = TypeVar("Answer")

USUAL_BACKEND = Plan().runtime.backend
PACKAGE = str(Path(__file__).parents[1])
_MENDS = {
    "crash": "Call the task's functions in a shell to see what ends the process: os._exit, "
    "or a library that crashes.",
    "hang": "Call the task's functions in a shell to see what they wait for.",
    "out_of_memory": "Close other programs, or load less data: the memory of this machine was "
    "short.",
}


def launch_for(reference: str, folder: Path | None = None) -> Launch:
    """Return how workers of a task are started; their logs go to `folder/logs`.

    Args:
        reference: A built-in name, a Python file, an import path or a folder or file that a task
            was handed over in.
        folder: The folder of the run or study, or None to keep no logs.

    Raises:
        TaskError: There is clearly no such task; nothing was started.

    Example:
        >>> launch_for("digits").reference
        'digits'
        >>> launch_for("digit")
        Traceback (most recent call last):
        slipstream.errors.TaskError: Expected the name of a built-in task, a Python file, \
package.module:name or a handed-over folder; got 'digit'. Did you mean 'digits'? Built in are \
breast_cancer, diabetes, digits, digits_transfer, fashion_mnist, next_character, \
next_character_attention. [SLP-201]
    """
    if not _is_code(reference):
        # Built-in tasks, folders and what is no task at all can be told apart without a worker.
        tasks.resolve(reference)
    logs = folder / LOG_FOLDER if folder is not None else None
    return Launch(reference=tasks.absolute(reference), log_folder=logs)


def usual_backend() -> str:
    """Return the backend of a plan that nobody chose one for: TensorFlow, or what is installed.

    Raises:
        BackendError: None is installed.

    Example:
        >>> usual_backend() in installed_backends()
        True
    """
    installed = installed_backends()
    if not installed:
        raise BackendError(
            "TensorFlow, JAX or PyTorch to be installed",
            "none of them",
            f"{how_to_install('tensorflow')} Or [jax], [torch], [all].",
            code="SLP-033",
        )
    return USUAL_BACKEND if USUAL_BACKEND in installed else installed[0]


def as_given(facts: TaskFacts) -> Plan:
    """Return the task's own plan, on a backend that is installed.

    A task that names no backend is trained on TensorFlow, as Keras does; where that is not
    installed, on the first backend that is.

    Raises:
        BackendError: The task's plan names another backend, and that is not installed.
    """
    return on_installed(facts.as_given)


def on_installed(plan: Plan) -> Plan:
    """Return a plan whose usual backend is exchanged for an installed one; see `as_given`."""
    if plan.runtime.backend == USUAL_BACKEND:
        return plan.adapt({"runtime.backend": usual_backend()})
    require_backend(plan.runtime.backend)
    return plan


def look(
    launch: Launch,
    backend: str | None = None,
    plan: Plan | None = None,
    listener: Listener = silent,
    changes: Mapping[str, Value] = MappingProxyType({}),
) -> tuple[TaskFacts, tuple[Finding, ...]]:
    """Look at task, data and model in a fresh process, and refuse what cannot be trained on.

    Tells the stage "look" and every warning.

    Args:
        launch: How the process is started; see `launch_for`.
        backend: Where the model is built; the plan's or the usual one if None.
        plan: The plan that is to be trained; the task's own if None.
        listener: Told what happens.
        changes: Keys of that plan that are to be changed first.

    Returns:
        The facts, and the warnings that were found.

    Raises:
        InputError: Task, data or plan cannot be used; nothing was trained.
        TrainingError: The process ended before it could say anything.
    """
    start = time.monotonic()
    listener(StageStarted("look", "Looking at the task, its data and its model"))
    if backend is None:
        chosen = changes.get("runtime.backend") or (plan and plan.runtime.backend)
        backend = str(chosen or usual_backend())
    request = Look(plan=plan, changes=dict(changes))
    looked = asked(launch, backend, lambda worker: worker.look(request))
    warnings = warnings_in(looked.findings)
    tell_look(looked.task, warnings, listener, start)
    return looked.task, warnings


def asked(launch: Launch, backend: str, ask: Callable[[Worker], Answer | Failed]) -> Answer:
    """Return what a worker answers that has loaded the task.

    One that is killed meanwhile, while it loads or at any question, is asked all of it once more.

    Args:
        launch: How it is started; see `launch_for`.
        backend: Its backend.
        ask: Asks it; may be called twice, each time with another worker.

    Raises:
        InputError: Task, data or plan cannot be used.
        TrainingError: It ended before it could answer; see `not_opened`.
    """

    def attempt() -> Answer | Failed:
        with launch.worker(backend, "look") as worker:
            opened = worker.open()
            return opened if isinstance(opened, Failed) else ask(worker)

    answer = once_more(attempt)
    if isinstance(answer, Failed):
        raise not_opened(answer, launch.reference)
    return answer


def tell_look(
    facts: TaskFacts, warnings: Sequence[Finding], listener: Listener, start: float
) -> None:
    """Tell the warnings of a look that began at `start`, and its end."""
    for finding in warnings:
        listener(Notice(in_words(finding), warning=True, code=finding.code))
    listener(StageDone("look", describe(facts), time.monotonic() - start))


def in_words(finding: Finding) -> str:
    """Return a finding as text: what was expected, what came, how to mend it."""
    return f"Expected {finding.what}; got {finding.where}. {finding.mend}"


def describe(facts: TaskFacts) -> str:
    """Return what a task is in one line."""
    parts = [
        facts.kind if facts.kind != "other" else "",
        f"{facts.num_train:,} training examples",
        f"{facts.num_validation:,} for validation",
        f"{facts.num_test:,} for the test" if facts.num_test else "no test split",
        f"{facts.parameters:,} parameters",
        f"{facts.multiply_adds:,} multiply-adds an example" if facts.multiply_adds else "",
        _cost_of_an_epoch(facts),
    ]
    return f"{facts.name}: {', '.join(part for part in parts if part)}"


def _cost_of_an_epoch(facts: TaskFacts) -> str:
    """Return about how much arithmetic an epoch is; a backward pass is twice a forward one."""
    if not facts.multiply_adds:
        return ""
    operations = 2 * 3 * facts.multiply_adds * facts.num_train
    return f"about {operations / 1e9:,.3g} GFLOP an epoch"


def not_opened(failed: Failed, reference: str) -> TaskError | TrainingError:
    """Return the error of a worker that could not load or build a task.

    What the user's own code raised is theirs to mend; a process that died is not.
    """
    line = _line_in(failed.log) if failed.kind == "error" or _was_raised(failed) else ""
    if failed.kind == "error" and not line and _is_ours(failed.log):
        return TrainingError(
            f"Slipstream to look at the task {reference}",
            _first_line(failed),
            "This is a mistake of Slipstream's, not yours: please report it, with the task.",
            code="SLP-029",
        )
    if failed.kind == "error":
        return TaskError(
            f"the task {reference} to load its data and to build its model",
            _first_line(failed) + line,
            "Mend that line; the functions are called without arguments, in a fresh process."
            if line
            else "Build the model and call it on a few examples in a shell to see more.",
            code="SLP-209",
        )
    return TrainingError(
        f"a process that loads the task {reference}",
        _came_to(failed) + (line or _line_at_the_crash(failed.log)),
        _MENDS.get(failed.kind, _MENDS["crash"]),
        code="SLP-210",
    )


def _came_to(failed: Failed) -> str:
    raised = "raised " if _was_raised(failed) else ""
    return f"one that {raised}{_first_line(failed)}"


def _first_line(failed: Failed) -> str:
    first = failed.message.strip().splitlines()[0].removesuffix(".")
    # The user wrote sys.exit, and may not know what it raises.
    return re.sub(r"^SystemExit(: (.*))?$", r"a call of sys.exit(\2)", first)


def _was_raised(failed: Failed) -> bool:
    """Whether memory was short and Python said so: the process lives on."""
    return failed.kind == "out_of_memory" and failed.log.startswith("Traceback")


def warnings_in(found: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return a worker's findings, or raise the first that is an error."""
    findings = [Finding(**values) for values in found]
    doctor.refuse(findings)
    return tuple(findings)


def _is_code(reference: str) -> bool:
    """Whether a reference names code that only a worker should import."""
    location, colon, name = reference.rpartition(":")
    named = bool(colon) and name.isidentifier()
    path = Path(location if named else reference).expanduser()
    if path.suffix in (".py", ".pkl"):
        return path.is_file()
    return named and not path.is_dir()


def _is_ours(traceback: str) -> bool:
    """Whether it was raised in Slipstream's own code, built-in tasks apart."""
    places = re.findall(r'File "([^"<]+)", line', traceback)
    own = Path(PACKAGE)
    return (
        bool(places)
        and own in Path(places[-1]).parents
        and own / "tasks" not in Path(places[-1]).parents
    )


def _line_in(traceback: str) -> str:
    """Return where in the user's own code it happened: the innermost line outside libraries."""
    theirs = _places_of_the_user(traceback)
    return f" in {Path(theirs[-1][0]).name}, line {theirs[-1][1]}" if theirs else ""


def _line_at_the_crash(log: str) -> str:
    """Return the same of a process that a signal ended: Python lists the innermost line first."""
    _, found, calls = log.rpartition("Current thread")
    theirs = _places_of_the_user(calls) if found else []
    return f", in {Path(theirs[0][0]).name}, line {theirs[0][1]}" if theirs else ""


def _places_of_the_user(calls: str) -> list[tuple[str, str]]:
    return [
        (file, line)
        for file, line in re.findall(r'File "([^"<]+)", line (\d+)', calls)
        if not file.startswith(PACKAGE)
        and "site-packages" not in file
        and "/lib/python" not in file
    ]

"""The commands as Python functions: for scripts and notebooks, on tasks, models and arrays."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipstream.commands import show
from slipstream.commands.durations import parse_seconds
from slipstream.commands.fit_findings import findings_of_batch, findings_of_fit
from slipstream.commands.folders import claimed, default_folder
from slipstream.commands.given import reference_to
from slipstream.doctor import Finding
from slipstream.errors import TaskError
from slipstream.plan import Plan, Value, read_plan
from slipstream.progress import Listener
from slipstream.task import Task

if TYPE_CHECKING:
    from slipstream.commands.compare import CompareResult
    from slipstream.commands.optimize import OptimizeResult
    from slipstream.verdict import AblationRow


def optimize(
    task: Any,
    x: Any = None,
    y: Any = None,
    *,
    budget: str | float = "10m",
    seeds: int = 3,
    backends: Sequence[str] = (),
    allow_precision: bool = True,
    folder: str | Path | None = None,
    resume: bool = False,
    remember: bool = True,
    techniques: Sequence[str] = (),
    progress: bool = True,
    **handed: Any,
) -> OptimizeResult:
    """Find a faster and better way to train a task on this machine, and prove it.

    Args:
        task: A `Task`, a reference ("digits", "my_task.py"), or, with x and y, a compiled Keras
            model.
        x: Inputs, as Keras' fit takes them.
        y: Targets, as Keras' fit takes them.
        budget: Wall-clock time for all of it: "90s", "5m", "1h30m", or seconds.
        seeds: Runs of each side in the proof, at least 3.
        backends: Backends to try; all that are installed if empty.
        allow_precision: Whether formats below float32 may be used.
        folder: Where results go; a new folder below runs/ if None.
        resume: Whether to go on with what the folder holds; a model, arrays or task that were
            handed over are then those that the folder holds.
        remember: Whether runtimes that were measured on this machine before may be used again.
        techniques: Names of techniques that are tried on top of what the search finds.
        progress: Whether to show progress.
        **handed: With a model, what `hand_over` takes: validation_data, sample_weight, target,
            monitor, batch_size, epochs.

    Returns:
        The outcome, the plan, the verdicts against both baselines, and where everything lies.

    Raises:
        InputError: Task, data or settings cannot be used; nothing was trained.
        TrainingError: Not one training gave a finite value.

    Example:
        >>> result = optimize("digits", budget="5m")  # doctest: +SKIP
        >>> print(result.headline)  # doctest: +SKIP
        >>> slipstream.write_plan(result.plan, Path("plan.toml"))  # doctest: +SKIP
    """
    from slipstream.commands.optimize import OptimizeSettings
    from slipstream.commands.optimize import optimize as run

    seconds = parse_seconds(budget)
    where = _folder("optimize", task, folder, resume)
    chosen = tuple(backends)
    settings = OptimizeSettings(
        seconds, seeds, chosen, allow_precision, resume, remember, tuple(techniques)
    )
    with _shown(progress) as listener, claimed(where, resume=resume):
        reference = reference_to(task, x, y, handed, where, resume, listener)
        return run(reference, where, settings, listener)


def fit(
    task: Any,
    x: Any = None,
    y: Any = None,
    *positional: Any,
    plan: Plan | str | Path | None = None,
    changes: Mapping[str, Value] | None = None,
    test: bool = False,
    folder: str | Path | None = None,
    resume: bool = False,
    checkpoint_every: str = "auto",
    progress: bool = True,
    own_process: bool = True,
    **handed: Any,
) -> Any:
    """Train a task once as a plan says; or a compiled Keras model, as its own fit does, sooner.

    A compiled Keras model with what `Model.fit` takes is trained in this process, and Keras'
    History comes back: `slipstream.fit(model, x, y, epochs=5)` in the place of
    `model.fit(x, y, epochs=5)`. The page on fit says what is accelerated and what Keras still does
    itself; `history.slipstream` says it of this fit.

    A task, or a model that comes with one of the arguments named below, is trained as a plan says
    in a process of its own, and its record comes back.

    Args:
        task: A compiled Keras model, a `Task`, or a reference.
        x: Inputs, as Keras' fit takes them.
        y: Targets, as Keras' fit takes them.
        *positional: With a model alone, more of what Keras' fit takes by position.
        plan: A plan or a file with one; the task as given if None.
        changes: Dotted keys of the plan that are to be changed, like {"schedule.peak": 3e-3}.
        test: Whether the test split is read, once, at the end.
        folder: Where results go; a new folder below runs/ if None.
        resume: Whether to go on with the run in the folder, exactly where it was interrupted.
        checkpoint_every: How often it is saved: "1 epoch", "200 updates", "30s", "auto" or "off".
        progress: Whether to show progress.
        own_process: Whether a task is trained in a process of its own, with a clock that starts
            as cold as in a comparison; False trains in this one, on the backend that Keras runs
            on here: sooner, and to be stepped through.
        **handed: With a model alone, what Keras' fit takes; with a model and a plan, what
            `hand_over` takes.

    Returns:
        Keras' History; or the record, where best weights, metrics and a report are in the folder.

    Raises:
        InputError: Task, data or plan cannot be used; nothing was trained.

    Example:
        >>> history = fit(model, x, y, epochs=5)  # doctest: +SKIP
        >>> record = fit("digits", changes={"batch.size": 128})  # doctest: +SKIP
    """
    planned = test or resume or checkpoint_every != "auto" or not (progress and own_process)
    planned = planned or any(given is not None for given in (plan, changes, folder))
    if not planned and _is_keras_model(task):
        return _fit_here(task, x, y, *positional, **handed)
    _refuse_by_position(positional)
    from slipstream.commands.fit import fit as run
    from slipstream.commands.fit_here import fit_here

    if resume and not own_process:
        raise TaskError(
            "a run that goes on in a process of its own",
            "resume=True with own_process=False",
            "Leave own_process out: the run in the folder goes on exactly where it was.",
            code="SLP-242",
        )
    train: Callable[..., Any] = functools.partial(run, resume=resume) if own_process else fit_here
    where = _folder("fit", task, folder, resume)
    with _shown(progress) as listener, claimed(where, resume=resume):
        return train(
            reference_to(task, x, y, handed, where, resume, listener),
            _plan(plan) if plan is not None else None,
            where,
            changes=changes or {},
            evaluate_test=test,
            checkpoint_every=checkpoint_every,
            listener=listener,
        )


def _refuse_by_position(positional: Sequence[Any]) -> None:
    if positional:
        came = f"{len(positional)} more by position"
        raise TaskError(
            "settings by name", came, "Write batch_size=..., epochs=... and so on.", code="SLP-241"
        )


def _is_keras_model(thing: Any) -> bool:
    # Whoever has a model has imported Keras.
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(thing, keras.Model)


def _fit_here(model: Any, *positional: Any, **named: Any) -> Any:
    from slipstream.engine import drop_in

    if drop_in.has_own_fit(model):
        return drop_in.fit_with_own(model, *positional, **named)
    try:
        arguments = inspect.signature(drop_in.fit).bind(model, *positional, **named).arguments
    except TypeError:
        # The call itself will say it.
        return drop_in.fit(model, *positional, **named)
    found = _told(lambda: findings_of_fit(model, arguments))

    def look(*batch: Any) -> None:
        found.extend(_told(lambda: findings_of_batch(model, arguments, batch)))

    with drop_in.first_batch_shown_to(look):
        history = drop_in.fit(model, *positional, **named)
    return drop_in.with_findings(history, tuple(found))


def _told(examine: Callable[[], Sequence[Finding]]) -> list[str]:
    """Log what the doctor finds in a fit, before its first step; returns it."""
    try:
        found = [str(finding) for finding in examine()]
    except Exception:
        # Data or a model in a form that nobody here knows: Keras may know it.
        logging.getLogger("slipstream").debug("fit: not looked at", exc_info=True)
        return []
    for finding in found:
        logging.getLogger("slipstream").warning("fit: %s", finding)
    return found


def compare(
    task: Task | str | Path,
    plan_a: Plan | str | Path,
    plan_b: Plan | str | Path,
    *,
    seeds: int = 5,
    target: float | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> CompareResult:
    """Train two plans side by side on the same seeds, and judge B against A.

    Args:
        task: A `Task` or a reference.
        plan_a: The baseline, as a plan or a file with one.
        plan_b: The candidate.
        seeds: Runs of each plan; with fewer than 3 nothing is decided.
        target: The value to race to; the task's, or else what A reaches in every run.
        folder: Where results go; a new folder below runs/ if None.
        resume: Whether finished runs in the folder are kept.
        progress: Whether to show progress.

    Raises:
        InputError: Task, data or a plan cannot be used; nothing was trained.

    Example:
        >>> quick = Plan().edit({"schedule.peak": 5e-3})
        >>> result = compare("digits", Plan(), quick)  # doctest: +SKIP
        >>> print(result.sentence)  # doctest: +SKIP
    """
    from slipstream.commands.compare import compare as run

    where = _folder("compare", task, folder, resume)
    with _shown(progress) as listener, claimed(where, resume=resume):
        return run(
            reference_to(task, None, None, {}, where, resume, listener),
            _plan(plan_a),
            _plan(plan_b),
            where,
            num_seeds=seeds,
            target=target,
            resume=resume,
            listener=listener,
        )


def ablate(
    task: Task | str | Path,
    plan: Plan | str | Path,
    *,
    seeds: int = 3,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> tuple[AblationRow, ...]:
    """Take each technique out of a plan, and put it alone onto the task as given.

    Args:
        task: A `Task` or a reference.
        plan: The plan, or a file with one.
        seeds: Runs of each variant, at least 3.
        folder: Where results go; a new folder below runs/ if None.
        resume: Whether finished runs in the folder are kept.
        progress: Whether to show progress.

    Raises:
        InputError: Task, data or plan cannot be used; nothing was trained.

    Example:
        >>> for row in ablate("digits", "plan.toml"):  # doctest: +SKIP
        ...     print(row.sentence())
    """
    from slipstream.commands.ablate import ablate as run

    where = _folder("ablate", task, folder, resume)
    with _shown(progress) as listener, claimed(where, resume=resume):
        reference = reference_to(task, None, None, {}, where, resume, listener)
        return run(reference, _plan(plan), where, num_seeds=seeds, resume=resume, listener=listener)


def eject(plan: Plan | str | Path, task: str | Path) -> str:
    """Return a plain Keras script, without Slipstream, that trains a task as a plan says.

    Args:
        plan: The plan, or a file with one.
        task: A reference to a task that has source: a built-in name, a Python file or an import
            path.

    Raises:
        InputError: The plan or the task has no plain form.

    Example:
        >>> "import slipstream" in eject(Plan(), "digits")
        False
    """
    from slipstream.commands._found_layers import with_found_layers
    from slipstream.export import eject as write

    chosen = _plan(plan)
    if not isinstance(plan, Plan):
        chosen = with_found_layers(chosen, Path(plan).parent)
    return write(chosen, str(task))


def _folder(command: str, task: Any, folder: str | Path | None, resume: bool) -> Path:
    if folder is not None:
        return Path(folder).expanduser()
    name = task if isinstance(task, str | Path) else getattr(task, "name", "task")
    return default_folder(command, str(name), resume=resume)


def _plan(plan: Plan | str | Path) -> Plan:
    return plan if isinstance(plan, Plan) else read_plan(Path(plan))


def _shown(progress: bool) -> contextlib.AbstractContextManager[Listener]:
    return show.shown() if progress else show.hidden()

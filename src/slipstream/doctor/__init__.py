"""What is wrong with a task, told before its first step: one check per file of this folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from slipstream.doctor._case import Case, Check, Finding
from slipstream.doctor._catalogue import CHECKS, CODES, SOURCES, Entry
from slipstream.doctor._losses import with_class_names
from slipstream.doctor._planned import as_planned
from slipstream.errors import DataError, InputError, PlanError, TaskError, more_problems

__all__ = ["CODES", "Case", "Finding", "all_checks", "catalogue", "examine", "refuse"]

LEAVE_LOSS = "Set loss.name = 'as_task' for the task's own loss. To keep the plan's:"

_ERRORS: dict[str, type[InputError]] = {"data": DataError, "plan": PlanError, "task": TaskError}


@cache
def all_checks() -> tuple[Check, ...]:
    """Return the function `check` of every file of this folder, in the order of their names."""
    names = sorted(
        module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_"
    )
    return tuple(importlib.import_module(f"{__name__}.{name}").check for name in names)


def catalogue() -> tuple[tuple[Entry, str], ...]:
    """Return what is refused and told of data, each with its cause.

    Example:
        >>> entry, cause = catalogue()[0]
        >>> entry.code, entry.title
        ('SLP-401', 'Labels out of range, wrongly based, or with fractions')
    """
    causes = {check.__module__.rpartition(".")[2]: check.__doc__ or "" for check in all_checks()}
    return tuple(
        (entry, entry.cause or _in_a_line(causes[entry.name])) for entry in (*CHECKS, *SOURCES)
    )


def _in_a_line(docstring: str) -> str:
    """Return a docstring in one line that begins with what is found, not with what is done."""
    text = re.sub(r"^(Refuse|Warn of|Find) ", "", " ".join(inspect.cleandoc(docstring).split()))
    return text[:1].upper() + text[1:]


def examine(case: Case) -> tuple[Finding, ...]:
    """Put a case through every check; errors come first.

    It costs one pass over the arrays and needs neither Keras nor a backend, so that the same
    sentence comes on all of them.

    Args:
        case: Data, model facts, plan and monitor.

    Returns:
        All findings; none for a healthy case.

    Example:
        >>> import numpy as np
        >>> from slipstream.data import Data, Split
        >>> from slipstream.plan import Plan
        >>> from slipstream.task import InputFacts, ModelFacts, OutputFacts
        >>> output = OutputFacts("y", (3,), "softmax", "SparseCategoricalCrossentropy", False)
        >>> model = ModelFacts((InputFacts("x", (2,), "float32"),), (output,), ("loss",))
        >>> x, y = np.random.default_rng(0).random((2, 40, 2)), np.arange(40) % 3 + 1
        >>> data = Data(Split(x[0], y), Split(x[1], y))
        >>> finding, _ = examine(Case(data, model, Plan()))
        >>> print(finding.where.replace(", out", ",\\nout"))
        labels from 1 to 3 in the targets of the training split,
        out of range in 13 of 40 examples (rows 2, 5, 8, ...)
        >>> finding.mend
        'Labels start at 0: subtract 1, so that they run from 0 to 2.'
    """
    named = with_class_names(case)
    found = [finding for check in all_checks() for finding in check(named)]
    planned, clash = as_planned(named)
    if clash is not None:
        found.append(clash)
    if planned is not None:
        # What is wrong with the task's own loss is wrong already: the rest is the plan's doing.
        found += [
            replace(finding, about="plan", mend=f"{LEAVE_LOSS} {finding.mend}")
            for check in all_checks()
            for finding in check(planned)
            if finding not in found
        ]
    return tuple(sorted(found, key=lambda finding: finding.severity))


def refuse(findings: Sequence[Finding]) -> None:
    """Raise the first finding that is an error; it lists the further ones, a line each.

    Raises:
        DataError: The data must be mended.
        PlanError: The plan must be mended.
        TaskError: The task must be mended.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    first, *more = errors
    mend = first.mend + _listed(first, more)
    raise _ERRORS[first.about](first.what, first.where, mend, code=first.code)


def _listed(first: Finding, more: Sequence[Finding]) -> str:
    """Return a line for each further finding, without what a line before it said already."""
    before = [first, *more]
    return more_problems([_after(said, found) for said, found in zip(before, more, strict=False)])


def _after(said: Finding, finding: Finding) -> str:
    if (finding.what, finding.mend) == (said.what, said.mend):
        return f"Also {finding.where}."
    if finding.mend == said.mend:
        return f"Expected {finding.what}; got {finding.where}."
    return str(finding)

"""Commands whose result is a text: a plan, or a plain Keras script."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from slipstream import tasks
from slipstream.commands._found_layers import with_found_layers
from slipstream.commands.look import as_given, launch_for, look, on_installed
from slipstream.errors import InputError
from slipstream.files import write_text
from slipstream.plan import Plan, Value, read_plan, to_toml
from slipstream.progress import Listener, silent


def plan_text(
    task: str | None,
    recipe: str | None = None,
    techniques: Sequence[str] = (),
    changes: Mapping[str, Value] | None = None,
    listener: Listener = silent,
) -> str:
    """Return a plan as TOML: the task's as given, or the default one.

    Args:
        task: The task's reference, or None.
        recipe: The name of a recipe that is put onto it; needs a task.
        techniques: Names of techniques that are put onto it then; they need a task.
        changes: Dotted keys that are changed last.
        listener: Told of the look at a task that a user wrote.

    Raises:
        InputError: There is no such task, recipe, technique or key, or a technique does not apply.

    Example:
        >>> plan_text("digits", changes={"batch.size": 64}).splitlines()[0][:20]
        '# A Slipstream plan:'
    """
    from slipstream.techniques import apply_all, get, get_recipe

    chosen = get_recipe(recipe) if recipe is not None else None
    names = [get(name).name for name in techniques]
    if task is None:
        if chosen is not None or names:
            raise InputError(
                "a TASK beside --recipe or --technique",
                "none",
                "Name the task: its batch size and kind decide what they do.",
                code="SLP-018",
            )
        plan = on_installed(Plan())
    elif chosen is None and not names and task in tasks.names():
        plan = on_installed(tasks.resolve(task).plan)
    else:
        facts, _ = look(launch_for(task), listener=listener)
        plan = as_given(facts)
        if chosen is not None:
            plan = chosen.apply(plan, facts)
        plan = apply_all(names, plan, facts)
    return to_toml(plan.edit(changes or {}))


def eject_script(plan: Path, task: str) -> str:
    """Return the plain Keras script of a plan in a file and a task.

    Raises:
        InputError: The plan cannot be read, or it or the task has no plain form.
    """
    from slipstream.export import eject

    chosen = with_found_layers(read_plan(plan), plan.parent)
    # The task's own file may import Keras, which fixes the backend then.
    os.environ["KERAS_BACKEND"] = chosen.runtime.backend
    return eject(chosen, task)


def write_or_print(text: str, file: Path | None) -> None:
    """Write a text to a file, or to standard output.

    Raises:
        InputError: The file cannot be written.
    """
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
    except OSError as error:
        raise InputError(
            f"a file that can be written to at {file}",
            (error.strerror or str(error)).lower(),
            "Name another one with --out.",
            code="SLP-019",
        ) from None

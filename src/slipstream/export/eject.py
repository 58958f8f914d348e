"""From a plan and a task to a plain Keras script that trains the same."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from slipstream.errors import PlanError, SlipstreamError, TaskError
from slipstream.export._architecture_part import rewrite_definitions
from slipstream.export._augment_part import NAMES as AUGMENT_NAMES
from slipstream.export._class_weights_part import class_weight_definitions, class_weighted
from slipstream.export._copied import names_in, needs
from slipstream.export._data_part import Loading, loading
from slipstream.export._drop_part import DROP_NAMES
from slipstream.export._folder_source import folder_data, folder_source
from slipstream.export._learned_part import learned_imports
from slipstream.export._loop_part import loop_constants, loop_definitions, main_function
from slipstream.export._loss_part import changes_in_words
from slipstream.export._model_part import build_function, model_definitions
from slipstream.export._objects import in_comments, literal
from slipstream.export._penalty_part import PENALTY_NAMES
from slipstream.export._precision_part import format_imports
from slipstream.export._rates_part import rates_part
from slipstream.export._sharp_part import sharp_imports
from slipstream.export._task_source import TaskSource, task_source
from slipstream.plan import Plan
from slipstream.plan.losses import changes_loss
from slipstream.plan.rates import written_out
from slipstream.task import Task
from slipstream.tasks import names, resolve
from slipstream.tasks._references import BY_VALUE

# What the script itself calls things; a task that has such a name gets the script's renamed.
OWN_NAMES = (
    *("SEED", "EPOCHS", "BATCH_SIZE", "EVALUATIONS_PER_EPOCH", "MONITOR", "KERNELS"),
    *("Batches", "RateTable", "AveragedWeights", "StopAtTarget", "KeepBest"),
    "EarlyStopping",
    *PENALTY_NAMES,
    *DROP_NAMES,
    *("AsymmetricMeanSquaredError", "SparseFocalCrossentropy", "F1", "ConfusionMatrix"),
    "ExpectedCalibrationError",
    *AUGMENT_NAMES,
    *("rates", "smoothed_cross_entropy", "build", "main"),
    *("model", "optimizer", "outputs", "train", "validation", "test", "batches", "data", "parts"),
    *("Extras", "extended", "rate_factors", "Adafactor", "Lars", "ScheduleFreeAdamW"),
    "dense_gradient",
    *("ClipWatch", "global_norm", "unit_axes", "SMALLEST_NORM", "CycledSGD", "CycledAdam"),
    *("Plateau", "LowerOnPlateau", "momentum_table", "bounds", "spared"),
    *("normalizations", "batches_for_norms", "renew_norms", "updates_per_epoch"),
    *("callbacks", "updates", "ends", "part", "keep_best", "averaged", "base", "compile_model"),
    *("class_weighted", "classes_of", "balanced_weights", "weighted_examples", "FROZEN_EPOCHS"),
    *("LogVariances", "UncertaintyWeightedLoss", "sharp_step", "SHARPNESS"),
    *("trained_loss", "first_weights", "start", "locked", "done"),
)


def eject(plan: Plan, task_reference: str) -> str:
    """Write a plain Keras script that trains a task as a plan says.

    The script imports Keras, NumPy and what the task's own source needs, never Slipstream. With
    the same seed it sees the same examples in the same order, at the same learning rates, as
    Slipstream does. Only what the plan uses is in it.

    Args:
        plan: The plan.
        task_reference: A built-in name, a Python file, an import path or a handed-over folder.

    Returns:
        The script's source.

    Raises:
        PlanError: A part of the plan has no plain form for this task.
        TaskError: The task's source cannot be taken out of its file.
        DataError: The task's data cannot be loaded: their form decides how the script loads them.

    Example:
        >>> script = eject(Plan(), "digits")
        >>> "import keras" in script, "import slipstream" in script
        (True, False)
    """
    task = resolve(task_reference)
    digest, plan = plan.digest(), written_out(plan)
    source = _source(task_reference, task)
    loaded = _load(task)
    load = loading(folder_data(Path(task_reference), loaded) if source.loads_model else loaded)
    _check(task, plan, source, load)
    weighted = class_weighted(load, plan)
    expressions = {key: f"@{key}@" for key in source.expressions}
    ours = "\n\n\n".join(
        part.strip("\n")
        for part in (
            *load.definitions,
            *class_weight_definitions(load, plan),
            "\n".join(loop_constants(task, plan, load)),
            *rates_part(plan),
            *model_definitions(task, plan),
            *loop_definitions(task, plan, weighted),
            build_function(task, plan, expressions, loads_model=source.loads_model),
            main_function(task, plan, weighted),
            'if __name__ == "__main__":\n    main()',
        )
    )
    own_names = (*OWN_NAMES, *names_in("\n".join(rewrite_definitions(plan))))
    ours = _with_expressions(_renamed(ours, source, own_names), source.expressions)
    lines = [*_head(task, plan, digest), *_imports(plan, source, ours), "", *_body(source, ours)]
    return _checked("\n".join(lines), task)


def _check(task: Task, plan: Plan, source: TaskSource, load: Loading) -> None:
    for part in ("model", "data", "loss"):
        if part not in source.expressions:
            raise TaskError(
                f"Task({part}=...) to be written out where the task is made",
                "no such keyword",
                "Name it in the call, so that a script can be made from it.",
                code="SLP-815",
            )
    if task.monitor != "val_loss" or not changes_loss(plan):
        return
    if plan.runtime.loop == "keras":
        raise PlanError(
            "runtime.loop = 'slipstream' where the plan changes the loss that is watched",
            f"runtime.loop = 'keras', where val_loss has {changes_in_words(plan)}",
            "Set runtime.loop = 'slipstream', or watch another metric.",
            code="SLP-131",
        )
    if load.weighted:
        raise PlanError(
            "a plan with the task's own loss where a weighted loss is watched",
            changes_in_words(plan),
            "Plain Keras has no validation loss of the task's own beside it: watch another metric.",
            code="SLP-806",
        )


def _source(reference: str, task: Task) -> TaskSource:
    if reference in names():
        module = f"slipstream.tasks.{reference}"
        return task_source(_file_of(module), module, "TASK")
    location, colon, name = reference.rpartition(":")
    if not (colon and name.isidentifier()):
        location, name = reference, ""
    path = Path(location).expanduser()
    if location.endswith(".py"):
        return task_source(path.resolve(), path.stem, name or None)
    if path.is_dir():
        return folder_source(path, task)
    if location.endswith(BY_VALUE):
        raise TaskError(
            "a task in a Python file, or a folder that it was handed over to",
            f"{path.name}, which holds a task by value and no source",
            "Put the task into a Python file, then: slipstream eject PLAN.toml FILE.py.",
            code="SLP-816",
        )
    return task_source(_file_of(location), location, name or None)


def _load(task: Task) -> Any:
    try:
        return task.data()
    except SlipstreamError:
        raise
    except Exception as error:  # It is the user's code.
        raise TaskError(
            f"the data function of task '{task.name}' to return data",
            f"{type(error).__name__}: {error}".splitlines()[0].removesuffix("."),
            "A script is written to fit the data: make them loadable here.",
            code="SLP-817",
        ) from error


def _checked(script: str, task: Task) -> str:
    try:
        ast.parse(script)
    except SyntaxError as error:
        raise TaskError(
            f"a source of task '{task.name}' that can be taken apart",
            f"line {error.lineno} of the script: {error.msg}",
            "Write the task's functions and its Task(...) as plain statements.",
            code="SLP-818",
        ) from None
    return script


def _file_of(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None  # resolve() has imported it.
    return Path(spec.origin)


def _renamed(text: str, source: TaskSource, own_names: Iterable[str]) -> str:
    """Rename what the script and the task would both call the same."""
    taken = set(source.names)
    for expression in source.expressions.values():
        taken.update(re.findall(r"[A-Za-z_]\w*", expression))
    for name in own_names:
        if name in taken:
            # Not attributes, not keyword arguments, not text in quotes.
            new = f"PLAN_{name}" if name.isupper() else f"{name}_"
            text = re.sub(rf"(?<![.\w\"'@]){name}(?![\w\"'@])(?!=[^=])", new, text)
    return text


def _with_expressions(text: str, expressions: Mapping[str, str]) -> str:
    for key, expression in expressions.items():
        called = expression if expression.isidentifier() else f"({expression})"
        text = text.replace(f"(@{key}@)()", f"{called}()").replace(f"@{key}@()", f"{called}()")
        text = text.replace(f"@{key}@", expression)
    return text


def _head(task: Task, plan: Plan, digest: str) -> list[str]:
    name = in_comments(task.name)
    lines = [
        f'"""Trains the task {name} with plain Keras, as Slipstream\'s plan {digest} says.',
        "",
        "It writes model.keras and history.csv into the current folder.",
    ]
    if plan.data.cache == "device":
        lines += [
            "",
            "The plan keeps the training set on the device. Keras feeds batches from the host",
            "instead: the same examples in the same order, at another speed.",
        ]
    elif plan.data != type(plan.data)():
        lines += [
            "",
            "What the plan says of caches and of reading ahead is about speed alone. This script",
            "loads, or decodes, all examples into memory before it trains.",
        ]
    if plan.monitoring != Plan().monitoring:
        lines += [
            "",
            "The plan's [monitoring] looks at the training and leaves it as it is: this script",
            "trains the same, and looks at nothing.",
        ]
    if plan.guard != Plan().guard:
        lines += ["", "The plan's [guard] leaves out updates that go wrong: this script does not."]
    return [*lines, '"""', "", "from __future__ import annotations", ""]


def _imports(plan: Plan, source: TaskSource, ours: str) -> list[str]:
    """Return the imports: Python's own, then the backend's name, then all that may need it."""
    lines = {"import os", "import keras", "import numpy as np", *source.imports}
    lines |= needs(ours)
    lines |= format_imports(plan) | sharp_imports(plan) | learned_imports(plan)
    if "Path(" in ours:
        lines.add("from pathlib import Path")
    if source.folder is not None:
        lines.add("import sys")
    first = sorted(filter(_is_of_python, lines), key=_import_order)
    others = sorted(lines - set(first), key=_import_order)
    setting = [
        "",
        "# Keras fixes its backend when it is imported.",
        f'os.environ["KERAS_BACKEND"] = "{plan.runtime.backend}"',
    ]
    if source.folder is not None:
        setting.append(f"sys.path.insert(0, {literal(source.folder)})")
    return [*first, *setting, "", *(f"{line}  # noqa: E402" for line in others)]


def _is_of_python(line: str) -> bool:
    return line.split()[1].partition(".")[0] in sys.stdlib_module_names


def _import_order(line: str) -> tuple[bool, str]:
    return line.startswith("from "), line


def _body(source: TaskSource, ours: str) -> list[str]:
    task = ["# ---- The task", "", source.definitions, "", ""] if source.definitions else []
    return [*task, "# ---- The plan", "", ours, ""]

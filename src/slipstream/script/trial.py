"""The process of a trial: a script up to its first fit, a few seconds of that, and the end.

Started as `python -c ... RESULT BACKEND SCRIPT ARGUMENTS`. Whatever it prints goes to its log.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from slipstream.files import write_text
from slipstream.script.choice import Trial
from slipstream.script.describe import DEFAULT_BATCH, num_examples, steps_per_epoch
from slipstream.script.fits import replace_fit
from slipstream.script.hook import WhenImported
from slipstream.script.program import execute, read_source

FIRST_STEPS = 2
EPOCHS = 4
MOST_ROUNDS = 3
ENOUGH_SECONDS = 4.0
LONG_ENOUGH = 0.4
MOST_STEPS = 20_000


def main() -> None:
    """Run the trial that the arguments of this process name."""
    result, backend, script, *arguments = sys.argv[1:]
    # Nobody reads what the script prints here, and nobody answers what it asks.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    file = Path(result).absolute()

    def first_fit(model: Any, given: dict[str, Any]) -> Any:
        trial = measure(model, given)
        write_text(file, trial.model_dump_json())
        # What the script does after its first fit, at its end too, is not for a trial.
        os._exit(0)

    def put_backend() -> None:
        os.environ["KERAS_BACKEND"] = backend

    def installed(keras: ModuleType, seconds: float) -> None:
        del seconds
        replace_fit(keras, first_fit)

    with WhenImported("keras", put_backend, installed):
        execute(script, arguments, read_source(script))


def measure(model: Any, arguments: dict[str, Any]) -> Trial:
    """Train a model for a few seconds as a fit would; its weights are not its own afterwards.

    Validation and the script's callbacks are left out: they are the same on every backend.

    Args:
        model: The compiled model.
        arguments: The arguments of its fit, by name.

    Returns:
        What was measured.
    """
    whole = steps_per_epoch(arguments)
    epochs = max(1, arguments.get("epochs", 1) - arguments.get("initial_epoch", 0))
    plain = {**arguments, "initial_epoch": 0, "verbose": 0, "validation_split": 0.0}
    for name in ("validation_data", "validation_steps", "validation_batch_size"):
        plain.pop(name, None)
    most = min(whole or MOST_STEPS, MOST_STEPS)
    steps = min(FIRST_STEPS, most)
    first, second = _epochs(model, plain, steps, 2)
    step = second / steps
    compiling = max(0.0, first - second)
    for _ in range(MOST_ROUNDS):
        # Long enough epochs, so that what begins and ends them does not count.
        steps = max(1, min(most, round(1.5 * LONG_ENOUGH / max(step, 1e-6))))
        step = statistics.median(_epochs(model, plain, steps, EPOCHS)[1:]) / steps
        if step * steps > LONG_ENOUGH or steps == most:
            break
    updates = None if whole is None else whole * epochs
    return Trial(first_seconds=compiling, step_seconds=step, updates=updates)


def _epochs(model: Any, arguments: dict[str, Any], steps: int, count: int) -> list[float]:
    """Return the seconds of `count` epochs of so many steps; of fewer, two at least, if slow."""
    import keras

    from slipstream.engine import drop_in

    ends = [time.perf_counter()]

    def on_epoch_end(epoch: int, logs: Any) -> None:
        del epoch, logs
        ends.append(time.perf_counter())
        # The first of them compiles.
        model.stop_training = len(ends) > 2 and ends[-1] - ends[1] > ENOUGH_SECONDS

    watch = keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)
    drop_in.fit(model, **{**_shortened(arguments, steps), "callbacks": [watch], "epochs": count})
    return [end - start for start, end in itertools.pairwise(ends)]


def _shortened(arguments: dict[str, Any], steps: int) -> dict[str, Any]:
    """Return the arguments of a fit whose epochs have so many steps."""
    if num_examples(arguments) is None:
        return {**arguments, "steps_per_epoch": steps}
    import keras

    # Arrays are cut, so that the fit stays one of its kind.
    examples = steps * (arguments.get("batch_size") or DEFAULT_BATCH)
    cut = {
        name: keras.tree.map_structure(lambda array: array[:examples], arguments[name])
        for name in ("x", "y", "sample_weight")
        if arguments.get(name) is not None
    }
    return {**arguments, **cut}

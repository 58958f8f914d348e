"""From a built model to the backend's program for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from slipstream.backends import Program, StepSettings, open_program, shares_of
from slipstream.data.splits import Arrays, Split
from slipstream.engine.build import Built
from slipstream.engine.feed import Feed
from slipstream.engine.mixing import Prepared
from slipstream.engine.stream import in_memory
from slipstream.plan import Plan


@dataclass(frozen=True)
class Opened:
    """A program, and how much of its step was lowered.

    Args:
        program: The program.
        native: What runs through native kernels in place of Keras' own calls; "" if nothing does.
        fallbacks: What Keras runs itself though lowering was asked for, each with the reason.
    """

    program: Program
    native: str = ""
    fallbacks: tuple[str, ...] = ()


def open_model(
    model: Any,
    *,
    jit: bool,
    lowering: bool,
    capture: bool = True,
    settings: StepSettings | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Opened:
    """Open a compiled and built model on the backend that Keras runs on.

    Args:
        model: The model; loss, metrics and optimizer have their variables.
        jit: Whether the step is compiled, where the backend leaves the choice.
        lowering: Whether recognised parts run through native kernels. Only PyTorch has any: the
            others compile the step as a whole.
        capture: Whether lowered steps on a GPU are recorded and replayed.
        settings: What its steps do beyond one gradient; nothing if None.
        note: Told what else a record should say, now or while training.
    """
    backend, settings = keras.backend.backend(), settings or StepSettings()
    if backend != "torch" or not lowering:
        return Opened(open_program(model, backend, jit=jit, settings=settings))
    # Imports PyTorch.
    from slipstream.lowering import lower_step

    unrecorded = "each update differentiates twice" if settings.sharpness else ""
    if settings.preparation is not None:
        unrecorded = "examples are changed in the step"
    step = lower_step(model, unrecorded=unrecorded)
    if capture:
        for reason in step.notes:
            note(reason)
    program = open_program(
        model,
        backend,
        jit=jit,
        settings=settings,
        parts=step.parts,
        capture=capture,
        note=note,
    )
    return Opened(program, step.native, step.fallbacks)


def open_for(built: Built, plan: Plan, feed: Feed) -> Program:
    """Return the program, compiled as the plan says, with the training set placed if it is to be.

    "auto" leaves it to Keras whether XLA compiles. What was lowered and what was not is noted in
    what was built.
    """
    jit = {"auto": built.model.jit_compile, "on": True, "off": False}[plan.runtime.jit]
    augmenter = feed.augmenter
    opened = open_model(
        built.model,
        jit=jit,
        # Who debugs steps through Keras' own calls.
        lowering=plan.runtime.lowering and not plan.runtime.eager,
        capture=plan.runtime.jit != "off",
        settings=StepSettings(
            sharpness=plan.optimizer.sam,
            shares=shares_of(built.model, _few(feed.train)) if feed.is_in_parts else None,
            overflows=plan.precision.policy == "mixed_float16",
            preparation=Prepared(augmenter, built.labels) if augmenter.is_in_step else None,
            tells_losses=plan.guard.spike > 0,
        ),
        note=built.notes.append,
    )
    built.applied.update(augmenter.applied)
    if opened.native:
        built.applied["runtime.lowering"] = opened.native
    if feed.is_in_parts:
        parts = f"{feed.num_micro_batches} batches of {feed.at_a_time} make an update"
        built.applied["batch.accumulation"] = parts
    fallbacks = [f"Left to Keras: {fallback}" for fallback in opened.fallbacks]
    # A program may be opened again, with smaller batches.
    built.notes.extend(note for note in fallbacks if note not in built.notes)
    if feed.is_placed:
        opened.program.place(in_memory(feed.train, plan.data.threads))
    return opened.program


def _few(train: Split) -> Arrays:
    return train.take(np.arange(min(2, train.num_examples))).parts()

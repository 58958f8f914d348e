"""From a built model to the backend's program for it."""

from __future__ import annotations

from slipstream.backends import Program, open_program
from slipstream.data.splits import Data
from slipstream.engine.build import Built
from slipstream.engine.feed import Feed
from slipstream.plan import Plan


def open_for(built: Built, plan: Plan, feed: Feed, data: Data) -> Program:
    """Return the program, compiled as the plan says, with the training set placed if it is to be.

    "auto" leaves it to Keras whether XLA compiles.
    """
    jit = {"auto": built.model.jit_compile, "on": True, "off": False}[plan.runtime.jit]
    program = open_program(built.model, plan.runtime.backend, jit=jit)
    if feed.is_placed:
        program.place(data.train)
    return program

"""Processes that are begun quickly, to be ended at any moment."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext


def context() -> ForkServerContext:
    """Return what begins processes: forked off one that has imported what they need."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["slipstream.checkpoint"])
    return made

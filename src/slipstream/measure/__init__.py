"""Measuring in processes of their own: the manager never imports Keras, each worker does once."""

from slipstream.measure.interleave import Job, Run, interleave, run_interleaved
from slipstream.measure.manager import (
    Failed,
    Launch,
    Worker,
    how_to_install,
    installed_backends,
    require_backend,
)
from slipstream.measure.pool import WorkerPool

__all__ = [
    "Failed",
    "Job",
    "Launch",
    "Run",
    "Worker",
    "WorkerPool",
    "how_to_install",
    "installed_backends",
    "interleave",
    "require_backend",
    "run_interleaved",
]

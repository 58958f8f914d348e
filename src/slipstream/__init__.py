"""Slipstream makes Keras training reach its target sooner, and proves it.

Everything public is named here, and imported when it is first used: `import slipstream` is quick
and imports no Keras.

Example:
    >>> plan = Plan().edit({"schedule.peak": 3e-3})
    >>> result = optimize("digits", budget="5m")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from slipstream._version import __version__

if TYPE_CHECKING:
    from slipstream.commands.batch import batch_sizes
    from slipstream.commands.compare import CompareResult
    from slipstream.commands.door import ablate, compare, eject, fit, optimize
    from slipstream.commands.landscape import landscape
    from slipstream.commands.optimize import OptimizeResult
    from slipstream.data import Data, Split
    from slipstream.doctor import Finding
    from slipstream.errors import InputError, SlipstreamError, TrainingError
    from slipstream.ops.curve import schedule
    from slipstream.plan import Plan, read_plan, write_plan
    from slipstream.record import Record, read_record
    from slipstream.task import Task, TaskFacts
    from slipstream.tasks.hand_over import hand_over
    from slipstream.techniques import Technique
    from slipstream.verdict import AblationRow, Verdict

_PLACES = {
    "AblationRow": "slipstream.verdict",
    "CompareResult": "slipstream.commands.compare",
    "Data": "slipstream.data",
    "Finding": "slipstream.doctor",
    "InputError": "slipstream.errors",
    "OptimizeResult": "slipstream.commands.optimize",
    "Plan": "slipstream.plan",
    "Record": "slipstream.record",
    "SlipstreamError": "slipstream.errors",
    "Split": "slipstream.data",
    "Task": "slipstream.task",
    "TaskFacts": "slipstream.task",
    "Technique": "slipstream.techniques",
    "TrainingError": "slipstream.errors",
    "Verdict": "slipstream.verdict",
    "ablate": "slipstream.commands.door",
    "batch_sizes": "slipstream.commands.batch",
    "compare": "slipstream.commands.door",
    "eject": "slipstream.commands.door",
    "fit": "slipstream.commands.door",
    "hand_over": "slipstream.tasks.hand_over",
    "landscape": "slipstream.commands.landscape",
    "optimize": "slipstream.commands.door",
    "read_plan": "slipstream.plan",
    "read_record": "slipstream.record",
    "schedule": "slipstream.ops.curve",
    "write_plan": "slipstream.plan",
}

__all__ = [
    "AblationRow",
    "CompareResult",
    "Data",
    "Finding",
    "InputError",
    "OptimizeResult",
    "Plan",
    "Record",
    "SlipstreamError",
    "Split",
    "Task",
    "TaskFacts",
    "Technique",
    "TrainingError",
    "Verdict",
    "__version__",
    "ablate",
    "batch_sizes",
    "compare",
    "eject",
    "fit",
    "hand_over",
    "landscape",
    "optimize",
    "read_plan",
    "read_record",
    "schedule",
    "write_plan",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'slipstream' has no attribute '{name}'")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

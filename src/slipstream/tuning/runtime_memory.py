"""What earlier runtime searches found on this machine, kept for the next one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from slipstream.files import cache_folder, read_text, write_text
from slipstream.plan import Plan
from slipstream.record import Environment
from slipstream.task import TaskFacts
from slipstream.tuning.runtime_values import RuntimeResult

# A machine's other work, cooling and drivers change; what was fast last month may not be so today.
OLDEST_SECONDS = 30 * 24 * 3600.0
# Sections of a plan that a runtime's speed depends on, beside what the search itself varies.
SECTIONS = ("optimizer", "clipping", "batch", "regularization", "augmentation", "architecture")


class RuntimeMemory:
    """Remembers the result of a runtime search by model, shapes, plan, machine and versions.

    Args:
        facts: The task: its model and the shapes of its data count, its name does not.
        base: The plan whose runtime is varied.
        backends: The backends that were to be tried.
        allow_precision: Whether formats below float32 were allowed.
        environment: Machine and versions.
    """

    def __init__(
        self,
        facts: TaskFacts,
        base: Plan,
        backends: Sequence[str],
        allow_precision: bool,
        environment: Environment,
    ) -> None:
        plan = base.to_dict()
        about = {
            "model": [facts.fingerprint, facts.layers, facts.parameters, facts.multiply_adds],
            "shapes": [facts.input_shapes, facts.input_dtypes, facts.output_shapes],
            "num_train": facts.num_train,
            "plan": {name: plan[name] for name in SECTIONS},
            "base": base.runtime.model_dump()
            | {"evaluations": base.duration.evaluations_per_epoch},
            "backends": sorted(backends),
            "allow_precision": allow_precision,
            "environment": environment.model_dump(),
        }
        text = json.dumps(about, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        self._file = cache_folder() / "runtimes" / f"{key}.json"

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return self._file

    def recall(self, facts: TaskFacts, epochs_planned: int) -> RuntimeResult | None:
        """Return what was found, its projections made for another number of epochs, or None."""
        try:
            age = time.time() - self._file.stat().st_mtime
            found = RuntimeResult.model_validate_json(read_text(self._file))
        except (OSError, ValueError):
            # None yet, or written by another version: it is measured anew.
            return None
        if not 0 <= age < OLDEST_SECONDS:
            return None
        return found.projected_for(facts.num_train, epochs_planned)

    def keep(self, result: RuntimeResult) -> bool:
        """Keep a finished search's result; False where its place cannot be written to."""
        try:
            write_text(self._file, result.model_dump_json(indent=1) + "\n")
        except OSError:
            return False
        return True

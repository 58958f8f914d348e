"""Transfer in two phases: the head learns on a frozen base, then all of it at a lower rate.

    python examples/transfer.py

The built-in task `digits_transfer`: a net that knows the digits 0 to 4 learns 5 to 9 from a
hundred examples. The same layers without what they had learnt are trained beside it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import slipstream
from slipstream.tasks.digits_transfer import TASK

BACKEND = os.environ.get("KERAS_BACKEND", "torch")
PLAIN = {
    "runtime.backend": BACKEND,
    "runtime.loop": "slipstream",
    "schedule.peak": 2e-3,
    "duration.epochs": 20,
}
TWO_PHASES = {**PLAIN, "transfer.frozen": 0.3, "transfer.base": "base", "transfer.rate": 0.3}


def build_untrained() -> Any:
    """Return the net of the task as it was before it learnt anything."""
    import keras

    return keras.models.clone_model(TASK.model())


from_scratch = replace(TASK, name="from_scratch", model=build_untrained)


def main() -> None:
    """Train the head and then all of it; and all of it from scratch."""
    cases = (("from scratch", from_scratch, PLAIN), ("transfer", TASK, TWO_PHASES))
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, task, changes in cases:
            where = Path(folder) / name.replace(" ", "_")
            record = slipstream.fit(task, changes=changes, folder=where, progress=False)
            best[name] = record.best_value or 0.0
            early = record.points[5].values["val_accuracy"]
            print(f"{name}: accuracy {early:.3f} after 6 epochs, best {best[name]:.3f}")
    said = [f"{key}: {value}" for key, value in record.applied.items() if "transfer" in key]
    print(f"applied: {'; '.join(said)}")
    assert said, "nothing was frozen"
    assert best["transfer"] > best["from scratch"] + 0.02, "what was learnt before did not help"


if __name__ == "__main__":
    main()

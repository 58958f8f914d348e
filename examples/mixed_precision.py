"""Mixed precision: layers compute in bfloat16; weights, outputs and losses stay in float32.

    python examples/mixed_precision.py

Whether it is faster depends on the processor: `slipstream optimize` adopts it only where it
measures faster and keeps the quality.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import h5py

import slipstream

BACKEND = os.environ.get("KERAS_BACKEND", "torch")
MIXED = {
    "runtime.backend": BACKEND,
    "runtime.loop": "slipstream",
    "precision.policy": "mixed_bfloat16",
    "schedule.peak": 2e-3,
    "batch.size": 64,
    "duration.epochs": 10,
}


def main() -> None:
    """Train the built-in task "digits" in bfloat16."""
    with tempfile.TemporaryDirectory() as folder:
        record = slipstream.fit(
            "digits", changes=MIXED, test=True, folder=Path(folder) / "run", progress=False
        )
        types: set[str] = set()
        with h5py.File(Path(folder) / "run" / "best.weights.h5") as content:
            content.visititems(lambda _, item: types.add(str(getattr(item, "dtype", "a group"))))
    test = (record.test_values or {})["accuracy"]
    said = [f"{key}: {value}" for key, value in record.applied.items() if "precision" in key]
    print(f"applied: {'; '.join(said)}")
    print(f"{record.examples_per_second:,.0f} examples/s on {record.backend}")
    print(f"validation accuracy {record.best_value:.4f}, test accuracy {test:.4f}")
    floats = sorted(name for name in types if "float" in name)
    print(f"weights are kept in {', '.join(floats)}")
    assert record.best_value is not None
    assert record.best_value >= 0.96, "the quality suffered"
    assert floats == ["float32"], "the master weights are not float32"


if __name__ == "__main__":
    main()

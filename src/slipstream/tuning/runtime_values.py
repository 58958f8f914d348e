"""What the runtime search found, as values that go to disk and into the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from slipstream.plan import Plan, Value

# A normal distribution's standard deviation is so many times its median absolute deviation.
MAD_TO_DEVIATION = 1.4826
OUTLIER_DEVIATIONS = 3.5

CandidateOutcome = Literal["measured", "crash", "hang", "out_of_memory", "error"]


class RuntimeRow(BaseModel):
    """One candidate: what it changes in the plan, and what came of it.

    Args:
        label: What it is, for people.
        backend: Its backend.
        batch_size: Examples per forward pass; rows are comparable within one batch size.
        changes: Dotted plan keys that differ from the base plan, with this candidate's values.
        outcome: "measured", or why there is no measurement.
        message: Why, in words; empty when measured.
        compile_seconds: Building and compiling, up to the first update.
        examples_per_second: Steady throughput: median of the windows, outliers rejected.
        spread: Relative standard deviation of the windows, robust.
        rungs: How many rounds of measurement it survived to take part in.
        projected_seconds: compile_seconds + examples of the planned training / throughput.
        peak_memory_bytes: The most resident memory of its process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    backend: str
    batch_size: int
    changes: dict[str, Value]
    outcome: CandidateOutcome
    message: str = ""
    compile_seconds: float | None = None
    examples_per_second: float | None = None
    spread: float | None = None
    rungs: int = 0
    projected_seconds: float | None = None
    peak_memory_bytes: int | None = None

    @property
    def is_float32(self) -> bool:
        """Whether it computes in float32, so that its quality is not in question."""
        return self.changes.get("precision.policy", "float32") == "float32"

    def apply(self, base: Plan) -> Plan:
        """Return the base plan with this candidate's changes."""
        return base.adapt(self.changes)


class RuntimeResult(BaseModel):
    """All candidates in the order they were tried, failures included.

    Args:
        rows: The candidates.
        untried: Labels of what there was no time for, most promising first.
        seconds: What the search itself took.
        epochs_planned: Epochs of the training that projected_seconds is about.

    Example:
        >>> row = RuntimeRow(label="jax", backend="jax", batch_size=32, changes={},
        ...     outcome="measured", examples_per_second=10.0, projected_seconds=5.0)
        >>> result = RuntimeResult(rows=(row,), seconds=1.0, epochs_planned=2)
        >>> result.best(32).label
        'jax'
        >>> RuntimeResult.model_validate_json(result.model_dump_json()) == result
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[RuntimeRow, ...]
    untried: tuple[str, ...] = ()
    seconds: float
    epochs_planned: int

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes at which something was measured, ascending."""
        return tuple(sorted({row.batch_size for row in self.rows if row.outcome == "measured"}))

    def projected_for(self, num_train: int, epochs: int) -> RuntimeResult:
        """Return the same measurements, projected to a training of other epochs."""
        rows = [
            row
            if row.projected_seconds is None
            else row.model_copy(
                update={
                    "projected_seconds": (row.compile_seconds or 0.0)
                    + epochs * num_train / (row.examples_per_second or math.nan)
                }
            )
            for row in self.rows
        ]
        return self.model_copy(update={"rows": tuple(rows), "epochs_planned": epochs})

    def best(self, batch_size: int, *, float32_only: bool = False) -> RuntimeRow | None:
        """Return the row with the smallest projected_seconds at a batch size, or None."""
        rows = [
            row
            for row in self.rows
            if row.projected_seconds is not None
            and row.batch_size == batch_size
            and (row.is_float32 or not float32_only)
        ]
        return min(rows, key=_projected, default=None)

    def best_of_each(self, *, float32_only: bool = False) -> dict[int, RuntimeRow]:
        """Return the best row of each batch size that was measured."""
        found = {size: self.best(size, float32_only=float32_only) for size in self.batch_sizes}
        return {size: row for size, row in found.items() if row is not None}


def steady(windows: Sequence[float]) -> tuple[float, float]:
    """Return the median of throughput windows and their relative spread, outliers rejected.

    A window is an outlier when |w - median| > 3.5 * 1.4826 * median(|w - median|).

    Args:
        windows: Examples per second, at least one.

    Returns:
        The median of the rest, and 1.4826 * median(|w - median|) / median of the rest.

    Example:
        >>> median, spread = steady([100.0, 101.0, 99.0, 100.0, 10.0])
        >>> median, round(spread, 6)
        (100.0, 0.007413)

    Source: B. Iglewicz and D. Hoaglin, 1993, "How to Detect and Handle Outliers".
    """
    values = np.asarray(windows, dtype=np.float64)
    center, deviation = _median_and_deviation(values)
    if deviation > 0:
        values = values[np.abs(values - center) <= OUTLIER_DEVIATIONS * deviation]
        center, deviation = _median_and_deviation(values)
    return center, deviation / center if center > 0 else math.inf


def _median_and_deviation(
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[float, float]:
    center = float(np.median(values))
    return center, MAD_TO_DEVIATION * float(np.median(np.abs(values - center)))


def _projected(row: RuntimeRow) -> float:
    assert row.projected_seconds is not None
    return row.projected_seconds

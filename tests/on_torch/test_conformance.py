"""Every lowering rule against Keras' own call; see conformance.py for what is compared."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from conformance import (
    Case,
    all_cases,
    batch_of,
    complaints,
    exact,
    model_of,
    run_keras,
    run_lowered,
    tolerance_of,
)

from slipstream.lowering import Lowered

CASES = all_cases()


PARTIAL = "a batch with fewer examples"


def lowered_of(case: Case, model: keras.Model) -> Lowered:
    lowered = Lowered(model)
    kept = [fallback for fallback in lowered.fallbacks if fallback.kind != "AttachMask"]
    assert bool(kept) is not case.lowered, kept
    return lowered


def check(case: Case, model: keras.Model, layer: Any, limit: float, mode: str) -> None:
    """Compare one call of the lowered model with Keras' own."""
    training, frozen = mode != "inference", mode == "frozen"
    layer.trainable = not frozen
    lowered = lowered_of(case, model)
    arrays = batch_of(case, max(1, case.shapes[0][0] - 1) if mode == PARTIAL else None)
    expected = run_keras(model, arrays, training)
    found = run_lowered(lowered, model, arrays, training)
    wanted, got = expected.arrays, found.arrays
    if case.random and training:
        assert got.keys() == wanted.keys(), mode
        assert all(got[name].shape == wanted[name].shape for name in got), mode
    else:
        truth = lambda: exact(case, model, arrays, training, frozen).arrays  # noqa: E731
        assert complaints(got, wanted, limit, truth, case.zero) == [], mode
    variables = expected.variables
    if case.advances:
        moved = [name for name in variables if name.endswith("seed_generator_state")]
        assert all(np.any(found.variables[n] != variables[n]) == training for n in moved), mode
        variables |= {name: found.variables[name] for name in moved}
    assert complaints(found.variables, variables, limit) == [], mode


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_float32(case: Case) -> None:
    model, layer = model_of(case)
    for mode in ("training", "inference", PARTIAL, "frozen"):
        check(case, model, layer, tolerance_of(layer).float32, mode)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_mixed_precision(case: Case, kind: str) -> None:
    keras.config.set_dtype_policy(f"mixed_{kind}")
    model, layer = model_of(case)
    check(case, model, layer, getattr(tolerance_of(layer), kind), "training")

"""Every lowering rule against Keras' own call; see conformance.py for what is compared."""

from __future__ import annotations

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


def check(case: Case, *, training: bool, frozen: bool = False, policy: str = "float32") -> None:
    keras.config.set_dtype_policy(policy)
    model, layer = model_of(case)
    if frozen:
        layer.trainable = False
    lowered = Lowered(model)
    kept = [f for f in lowered.fallbacks if f.kind != "AttachMask"]
    assert bool(kept) is not case.lowered, kept
    tolerance = tolerance_of(layer)
    limit = tolerance.float32 if policy == "float32" else tolerance.bfloat16
    sizes = (None, max(1, case.shapes[0][0] - 1)) if training and not frozen else (None,)
    for size in sizes:
        arrays = batch_of(case, size)
        expected = run_keras(model, arrays, training)
        found = run_lowered(lowered, model, arrays, training)
        wanted, got = expected.arrays, found.arrays
        if case.random and training:
            assert got.keys() == wanted.keys()
            assert all(got[name].shape == wanted[name].shape for name in got)
        else:
            truth = lambda a=arrays: exact(case, model, a, training, frozen).arrays  # noqa: E731
            assert complaints(got, wanted, limit, truth, case.zero) == []
        variables = expected.variables
        if case.advances:
            moved = [name for name in variables if name.endswith("seed_generator_state")]
            assert all(np.any(found.variables[n] != variables[n]) == training for n in moved)
            variables |= {name: found.variables[name] for name in moved}
        assert complaints(found.variables, variables, limit) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_training(case: Case) -> None:
    check(case, training=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_inference(case: Case) -> None:
    check(case, training=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_frozen(case: Case) -> None:
    check(case, training=True, frozen=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_mixed_bfloat16(case: Case) -> None:
    check(case, training=True, policy="mixed_bfloat16")

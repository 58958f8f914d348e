"""Which runtimes Learn is offered."""

from __future__ import annotations

from slipstream.tuning.quick_runtimes import quick_runtimes
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow


def row(backend, compile_seconds, training_seconds, batch=32, **changes):
    return RuntimeRow(
        label=f"{backend} {batch} {changes}",
        backend=backend,
        batch_size=batch,
        changes={"runtime.backend": backend, "batch.size": batch, **changes},
        outcome="measured",
        compile_seconds=compile_seconds,
        examples_per_second=1.0,
        projected_seconds=compile_seconds + training_seconds,
    )


def offered(*rows):
    return quick_runtimes(RuntimeResult(rows=rows, seconds=1.0, epochs_planned=20))


def test_what_compiles_nothing_comes_first_for_a_short_run_though_slower_over_all():
    found = offered(row("tensorflow", 0.8, 0.4), row("torch", 0.1, 2.0))
    assert list(found) == ["torch", "tensorflow"]


def test_a_backend_that_is_far_behind_is_not_offered():
    found = offered(row("torch", 0.1, 2.0), row("jax", 4.0, 1.0))
    assert list(found) == ["torch"]


def test_the_best_row_of_a_backend_speaks_for_it_without_its_batch_size():
    slow = row("torch", 0.1, 9.0)
    quick = row("torch", 0.1, 1.0, batch=128, **{"data.cache": "device"})
    assert offered(slow, quick) == {"torch": {"runtime.backend": "torch", "data.cache": "device"}}


def test_failures_are_not_offered():
    failed = RuntimeRow(
        label="jax",
        backend="jax",
        batch_size=32,
        changes={},
        outcome="hang",
        message="said nothing",
    )
    assert offered(failed) == {}


def test_fewer_bits_are_offered_where_they_are_faster_and_float32_beside_them():
    half = {"precision.policy": "mixed_bfloat16"}
    faster = offered(row("torch", 0.1, 1.0, **half), row("torch", 0.1, 1.5, batch=64))
    assert list(faster) == ["torch", "torch in float32"]
    assert faster["torch"]["precision.policy"] == "mixed_bfloat16"
    assert "precision.policy" not in faster["torch in float32"]
    slower = offered(row("torch", 0.1, 2.0, **half), row("torch", 0.1, 1.5, batch=64))
    assert slower == {"torch": {"runtime.backend": "torch"}}

"""Layers that a run found to need float32 are named in the plan that a script is made of."""

import pytest

from slipstream.commands._found_layers import KEY, with_found_layers
from slipstream.export import eject
from slipstream.plan import Plan
from slipstream.record import (
    Environment,
    Record,
    Timings,
    write_record,
)

PLAN = Plan().edit({"precision.policy": "mixed_float16", KEY: "auto"})


def run_of(plan, said, folder):
    folder.mkdir(parents=True)
    record = Record(
        task="t", reference="t", fingerprint="f", data_hash="d", plan=plan.to_dict(),
        plan_digest=plan.digest(), backend=plan.runtime.backend, seed=plan.seeds.seed,
        monitor="val_accuracy", mode="max", target=0.9, started_at="now",
        environment=Environment(machine={}, versions={}), timings=Timings(clock_seconds=1.0),
        outcome="completed", updates=1, epochs=1.0, examples_per_second=1.0,
        peak_memory_bytes=1, parameters=1, best_value=0.5, best_epoch=1.0, final_values={},
        applied={KEY: said}, points=[],
    )  # fmt: skip
    write_record(record, folder)


@pytest.mark.parametrize(
    ("said", "names"),
    [("a, b/c: of 4 layers, by measurement", "a, b/c"), ("none of 4 layers, by measurement", "")],
)
def test_the_run_with_the_same_plan_and_seed_tells(tmp_path, said, names):
    other = PLAN.edit({"seeds.seed": 3})
    run_of(other, "z: of 4 layers, by measurement", tmp_path / "runs" / "a")
    run_of(PLAN.edit({"batch.size": 8}), "y: of 4 layers, by measurement", tmp_path / "runs" / "b")
    assert with_found_layers(PLAN, tmp_path).precision.float32_layers == "z"
    run_of(PLAN, said, tmp_path / "runs" / "c")
    found = with_found_layers(PLAN, tmp_path)
    assert found == PLAN.edit({KEY: names})
    script = eject(found, "digits")
    assert ("if layer.name in ('a', 'b/c')" in script) == bool(names)


def test_without_a_run_it_stays_a_measurement(tmp_path):
    assert with_found_layers(PLAN, tmp_path) == PLAN

"""What a runtime search found is remembered, for the same model and machine alone."""

import os

import pytest

from slipstream.plan import Plan
from slipstream.record import Environment
from slipstream.tuning.runtime_memory import OLDEST_SECONDS, RuntimeMemory
from slipstream.tuning.runtime_values import RuntimeResult, RuntimeRow
from strategies import facts

FACTS = facts(input_shapes={"x": (8,)})
HERE = Environment(machine={"logical_cores": 2}, versions={"keras": "3.15.1"})
ROW = RuntimeRow(
    label="jax", backend="jax", batch_size=32, changes={}, outcome="measured",
    compile_seconds=2.0, examples_per_second=500.0, projected_seconds=4.0,
)  # fmt: skip
CRASH = RuntimeRow(label="torch", backend="torch", batch_size=32, changes={}, outcome="crash")
FOUND = RuntimeResult(rows=(ROW, CRASH), seconds=60.0, epochs_planned=1)


def memory(facts=FACTS, base=None, backends=("jax", "torch"), precision=True, environment=HERE):
    return RuntimeMemory(facts, base or Plan(), backends, precision, environment)


def test_the_same_is_remembered_and_projected_for_other_epochs():
    assert memory().recall(FACTS, 1) is None
    memory().keep(FOUND)
    assert memory().recall(FACTS, 1) == FOUND
    later = memory(backends=("torch", "jax")).recall(FACTS, 10)
    # Compilation, and 10 epochs of 1000 examples at 500 a second.
    assert later.rows[0].projected_seconds == pytest.approx(2.0 + 10 * 1000 / 500)
    assert later.rows[1] == CRASH


def test_whatever_changes_the_speed_is_another_memory():
    memory().keep(FOUND)
    others = [
        memory(facts=FACTS.model_copy(update={"fingerprint": "g"})),
        memory(facts=FACTS.model_copy(update={"input_shapes": {"x": (9,)}})),
        memory(base=Plan().edit({"optimizer.name": "sgd"})),
        memory(base=Plan().edit({"batch.size": 64})),
        memory(backends=("jax",)),
        memory(precision=False),
        memory(environment=Environment(machine={"logical_cores": 4}, versions=HERE.versions)),
        memory(environment=Environment(machine=HERE.machine, versions={"keras": "3.16.0"})),
    ]
    assert len({other.file for other in others} | {memory().file}) == len(others) + 1
    # A rate changes nothing but the curve.
    assert memory(base=Plan().edit({"schedule.peak": 0.5})).file == memory().file


def test_what_is_old_or_broken_is_measured_anew():
    memory().keep(FOUND)
    file = memory().file
    old = file.stat().st_mtime - OLDEST_SECONDS - 1
    os.utime(file, (old, old))
    assert memory().recall(FACTS, 1) is None
    file.write_text("{")
    assert memory().recall(FACTS, 1) is None

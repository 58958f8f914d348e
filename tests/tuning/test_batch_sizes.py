"""The batch-size search against workers that are told how fast they are and when memory ends."""

import json
import sys
from pathlib import Path

import pytest

from slipstream.commands.batch import _nothing_ran, in_words
from slipstream.errors import InputError
from slipstream.measure.confine import MEMORY_VARIABLE
from slipstream.measure.manager import Launch
from slipstream.plan import Plan
from slipstream.tuning.batch_sizes import BatchRow, BatchSizes, search_batch_sizes

FAKE = Path(__file__).parents[1] / "measure" / "fake_worker.py"
FULL = {"error": "MemoryError", "message": "RESOURCE_EXHAUSTED: out of memory"}
PLAN = Plan().edit({"runtime.backend": "jax", "batch.size": 16})


def probe(size, **more):
    return {"on": "probe", "when": {"batch.size": size}, **more}


@pytest.fixture
def search(tmp_path):
    def run(*rules, num_train=10_000, plan=PLAN, variables=None, **settings):
        file = tmp_path / "rules.json"
        file.write_text(json.dumps(rules))
        command = (sys.executable, "-S", str(FAKE), str(file), str(tmp_path / "asked.jsonl"))
        launch = Launch("digits", command=command, variables=variables or {})
        return search_batch_sizes(launch, plan, num_train, **settings)

    return run


def sizes(found):
    return [row.size for row in found.rows]


def test_the_fastest_is_not_the_largest_and_what_does_not_fit_is_closed_in_on(search, tmp_path):
    # Memory ends at 90 examples; from 32 on a larger batch is no faster.
    rules = [probe(size, do="problem", problem=FULL) for size in (128, 96)]
    rules += [probe(16, speed=1000.0), probe(32, speed=2000.0), probe(64, speed=2010.0)]
    told = []
    found = search(*rules, probe(80, speed=1900.0), probe(88, speed=1800.0), on_row=told.append)
    assert sizes(found) == [16, 32, 64, 80, 88, 96, 128]
    assert (found.fastest, found.largest, found.too_large) == (32, 88, 96)
    assert found.ended_by == "memory"
    assert [row.size for row in told] == [16, 32, 64, 128, 96, 80, 88]
    # What ran out of memory is gone before the next one is asked.
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    processes = [one["pid"] for one in asked if one["do"] == "probe"]
    assert len(set(processes[:4])) == 1 and len(set(processes)) == 3


def test_a_process_that_the_system_ends_for_its_memory_is_no_failure(search):
    found = search(probe(32, do="killed"), probe(24, speed=900.0), probe(16, speed=1000.0))
    assert found.largest in (24, 28, 30, 31) and found.ended_by == "memory"
    assert found.rows[0].outcome == "measured"


def test_it_ends_with_the_examples_a_limit_or_a_failure(search):
    assert sizes(search(num_train=50)) == [16, 32, 50]
    assert search(num_train=50).ended_by == "examples"
    limited = search(largest=64)
    assert (sizes(limited), limited.ended_by) == ([16, 32, 64], "limit")
    crashed = search(probe(32, do="crash"))
    assert (sizes(crashed), crashed.ended_by) == ([16, 32], "failure")
    assert "largest that was tried and fits: 16" in in_words(crashed)
    spent = search(budget_seconds=0.0)
    assert (sizes(spent), spent.ended_by) == ([16], "budget")


def test_with_a_limit_what_could_not_be_made_lacked_memory(search):
    silent = {"error": "RuntimeError", "message": "RuntimeError: could not create a primitive"}
    rules = [probe(size, do="problem", problem=silent) for size in (32, 24)]
    assert search(*rules).ended_by == "failure"
    assert search(*rules, variables={MEMORY_VARIABLE: "1000000000"}).ended_by == "memory"


def test_the_size_that_is_asked_for_next_is_never_one_that_failed_for_memory():
    lacking = BatchRow(size=1, outcome="out_of_memory", message="bad_alloc")
    nothing = BatchSizes(rows=(lacking,), ended_by="memory")
    assert "smaller batch" not in str(_nothing_ran(nothing, "digits"))
    broken = BatchRow(size=32, outcome="error", message="ValueError: shapes")
    assert "--memory" not in str(_nothing_ran(BatchSizes(rows=(broken,), ended_by="failure"), "t"))


def test_what_does_not_fit_at_all_and_plans_that_cannot_be_followed(search):
    found = search(*(probe(2**power, do="problem", problem=FULL) for power in range(5)))
    assert found.largest is None and found.fastest is None
    assert found.too_large is not None
    wrong = {"error": "PlanError", "message": "", "expected": "a", "came": "b", "mend": "Mend it."}
    with pytest.raises(InputError, match="Mend it"):
        search(probe(16, do="problem", problem=wrong))


def test_a_larger_batch_has_to_be_faster_by_more_than_nothing():
    rows = tuple(
        BatchRow(size=size, outcome="measured", examples_per_second=speed)
        for size, speed in ((8, 700.0), (16, 990.0), (32, 1000.0))
    )
    assert BatchSizes(rows=rows, ended_by="examples").fastest == 16

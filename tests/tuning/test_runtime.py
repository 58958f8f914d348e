"""The runtime search against workers that are told how fast they are and how they fail."""

import json
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.errors import DataError
from slipstream.plan import Plan
from slipstream.task import AS_GIVEN
from slipstream.tuning import runtime
from slipstream.tuning.runtime import search_runtime
from slipstream.tuning.runtime_candidates import Space
from slipstream.tuning.runtime_values import RuntimeResult, steady
from strategies import facts

FAKE = Path(__file__).parents[1] / "measure" / "fake_worker.py"
BACKENDS = ("tensorflow", "jax", "torch")
SPEEDS = {"jax": 90_000.0, "tensorflow": 50_000.0, "torch": 12_000.0}

FACTS = facts(
    target=None, num_train=1100, num_validation=300, num_test=0, input_shapes={"x": (64,)}
)


def probe(do=None, when=None, **more):
    return {"on": "probe", "when": when or {}, "do": do, **more}


def by_backend(**compile_seconds):
    return [
        probe(when={"runtime.backend": name}, speed=speed, compile=compile_seconds.get(name, 0.5))
        for name, speed in SPEEDS.items()
    ]


@pytest.fixture
def search(tmp_path):
    def run(
        *rules, backends=BACKENDS, budget=300.0, epochs=20, base=AS_GIVEN, on_result=None, known=()
    ):
        file = tmp_path / "rules.json"
        file.write_text(json.dumps(rules))
        return search_runtime(
            "digits",
            FACTS,
            base,
            backends=backends,
            allow_precision=True,
            budget_seconds=budget,
            epochs_planned=epochs,
            on_result=on_result,
            known=known,
            command=(sys.executable, "-S", str(FAKE), str(file), str(tmp_path / "asked.jsonl")),
        )

    return run


@pytest.fixture
def quick(monkeypatch):
    """Measure for an instant, and vary the batch size alone: the search ends before its budget."""
    monkeypatch.setattr(runtime, "RUNG_SECONDS", (0.01, 0.02, 0.03))
    changes = Space._changes

    def batch_sizes(self, options):
        return [(w, c) for w, c in changes(self, options) if "batch_size" in c]

    monkeypatch.setattr(Space, "_changes", batch_sizes)


def rows_of(result, backend):
    return [row for row in result.rows if row.backend == backend]


def test_the_fastest_backend_wins_and_each_was_tried(search, quick):
    result = search(*by_backend())
    assert {row.backend for row in result.rows} == set(BACKENDS)
    assert result.best(32).backend == "jax"
    assert result.best(32).apply(AS_GIVEN).runtime.backend == "jax"
    assert result.batch_sizes[0] == 32 and 128 in result.batch_sizes
    assert set(result.best_of_each()) == set(result.batch_sizes)


def test_the_best_of_the_first_backends_is_varied_before_the_last_is_tried(search, quick):
    order = [row.backend for row in search(*by_backend()).rows]
    # Two neighbours of JAX, the faster of the first two.
    assert order[:5] == ["jax", "tensorflow", "jax", "jax", "torch"]


def test_the_value_is_the_time_of_the_planned_training(search, quick):
    result = search(*by_backend(jax=2.0), epochs=20)
    row = result.best(32, float32_only=True)
    (jax, *_) = rows_of(result, "jax")
    assert jax.projected_seconds == pytest.approx(2.0 + 20 * 1100 / 90_000)
    # Compilation is counted: over 20 short epochs TensorFlow is sooner done, over 2000 JAX is.
    assert row.backend == "tensorflow"
    assert search(*by_backend(jax=2.0), epochs=2000).best(32).backend == "jax"


def test_survivors_are_measured_again_and_for_longer(search, quick, tmp_path):
    result = search(*by_backend())
    rungs = {row.label: row.rungs for row in result.rows}
    best = result.best(32)
    assert rungs[best.label] == 3
    assert min(rungs.values()) == 1
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    measured = [request for request in asked if request["do"] == "measure"]
    seconds = [m["seconds"] for m in measured]
    assert seconds == sorted(seconds)
    last = {m["pid"] for m in measured if m["seconds"] == max(seconds)}
    assert last <= {m["pid"] for m in measured if m["seconds"] == min(seconds)}


def test_what_is_far_behind_is_not_measured_any_further(search, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "FEWEST_WINDOWS", 10)
    search(*by_backend(), budget=0.0, epochs=2000)
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    probed = {r["pid"]: r["plan"]["runtime"]["backend"] for r in asked if r["do"] == "probe"}
    measured = Counter(probed[r["pid"]] for r in asked if r["do"] == "measure")
    assert measured["torch"] == 1 < measured["jax"]


def test_each_candidate_has_a_process_of_its_own(search, quick, tmp_path):
    result = search(*by_backend())
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    probes = [request["pid"] for request in asked if request["do"] == "probe"]
    assert len(probes) == len(set(probes)) == len(result.rows)


@pytest.mark.parametrize(
    ("what", "outcome"), [("crash", "crash"), ("segfault", "crash"), ("killed", "out_of_memory")]
)
def test_a_candidate_that_dies_is_a_row(search, quick, what, outcome):
    rules = [probe(what, when={"runtime.backend": "jax"}), *by_backend()]
    result = search(*rules)
    (row,) = rows_of(result, "jax")
    assert (row.outcome, row.projected_seconds, row.rungs) == (outcome, None, 0)
    assert row.message
    assert result.best(32).backend == "tensorflow"


def test_a_candidate_that_hangs_is_ended_and_is_a_row(search, quick, monkeypatch):
    monkeypatch.setattr(runtime, "SHORTEST_BUILD_TIMEOUT", 1.0)
    monkeypatch.setattr(runtime, "BUILD_SHARE", 0.0)
    result = search(probe("hang", when={"runtime.backend": "torch"}), *by_backend())
    (row,) = rows_of(result, "torch")
    assert row.outcome == "hang"
    assert result.best(32).backend == "jax"


def test_a_candidate_that_dies_while_it_is_measured_is_a_row(search, quick):
    result = search({"on": "measure", "when": {"backend": "jax"}, "do": "crash"}, *by_backend())
    assert {row.outcome for row in rows_of(result, "jax")} == {"crash"}
    assert result.best(32).backend == "tensorflow"


def input_error(on):
    error = DataError("labels from 0 to 9", "a label 10", "Subtract 1.")
    problem = {"error": "DataError", "message": str(error), "expected": error.expected}
    return {
        "on": on,
        "do": "problem",
        "problem": {**problem, "came": error.came, "mend": error.mend},
    }


@pytest.mark.parametrize("on", ["open", "probe"])
def test_what_the_user_must_mend_is_raised(search, quick, on):
    with pytest.raises(DataError, match="got a label 10"):
        search(input_error(on))


def test_a_plan_that_one_backend_refuses_is_that_row_alone(search, quick):
    refused = {**input_error("probe"), "when": {"runtime.backend": "jax"}}
    result = search(refused, *by_backend())
    assert rows_of(result, "jax")[0].outcome == "error"
    assert result.best(32).backend == "tensorflow"


def test_without_time_every_backend_is_tried_and_the_rest_is_named(search):
    result = search(*by_backend(), budget=0.0)
    assert {row.backend for row in result.rows} == set(BACKENDS)
    assert len(result.rows) <= len(BACKENDS) + 1
    assert result.untried


def test_rows_are_told_as_they_come(search, quick):
    told = []
    result = search(*by_backend(), on_result=told.append)
    assert {row.label for row in told} == {row.label for row in result.rows}
    assert [r.label for r in told if r.rungs <= 1] == [r.label for r in result.rows]


def num_probed(folder):
    asked = [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]
    return sum(request["do"] == "probe" for request in asked)


def test_what_an_interrupted_search_measured_is_not_measured_again(search, quick, tmp_path):
    rules = [probe("crash", when={"runtime.backend": "jax"}), *by_backend()]
    told = []
    whole = search(*rules, on_result=told.append)
    probed = num_probed(tmp_path)
    # All but the last candidate: where an interruption came while that one was tried.
    known = [row for row in told if row.label != whole.rows[-1].label]
    again = search(*rules, known=known)
    assert num_probed(tmp_path) == probed + 1
    assert {row.label for row in again.rows} == {row.label for row in whole.rows}
    assert rows_of(again, "jax")[0].outcome == "crash"
    assert again.best(32).label == whole.best(32).label


def test_ctrl_c_ends_every_process(search, quick, tmp_path):
    import psutil

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(*by_backend(), on_result=interrupt)
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert not any(psutil.pid_exists(request["pid"]) for request in asked)


def test_the_result_goes_through_json(search, quick):
    result = search(probe("crash", when={"runtime.backend": "jax"}), *by_backend())
    assert RuntimeResult.model_validate_json(result.model_dump_json()) == result


def test_the_rows_hold_only_what_the_plan_changes(search, quick):
    base = Plan().edit({"runtime.backend": "jax", "batch.size": 64})
    result = search(*by_backend(), backends=("jax",), base=base, budget=0.1)
    as_it_is = next(row for row in result.rows if not row.changes)
    assert as_it_is.apply(base) == base


@settings(max_examples=50)
@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=12))
def test_steady_stays_within_the_windows(windows):
    center, spread = steady(windows)
    assert min(windows) <= center <= max(windows)
    assert spread >= 0


def test_steady_rejects_what_scipy_calls_far_away():
    from scipy import stats

    windows = np.array([100.0, 98.0, 103.0, 99.0, 101.0, 20.0, 180.0])
    deviation = stats.median_abs_deviation(windows, scale="normal")
    kept = windows[np.abs(windows - np.median(windows)) <= 3.5 * deviation]
    assert 20.0 not in kept and 180.0 not in kept
    expected = stats.median_abs_deviation(kept, scale="normal") / np.median(kept)
    assert steady(windows) == (np.median(kept), pytest.approx(expected, rel=1e-4))
    assert math.isinf(steady([0.0])[1])

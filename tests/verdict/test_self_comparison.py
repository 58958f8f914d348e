"""The benchmark of false verdicts draws honest studies, and notices runs that differ."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from slipstream.errors import RecordError
from slipstream.record import (
    METRICS_FILE,
    Environment,
    Point,
    Record,
    Timings,
    point_to_line,
    write_record,
)

FILE = Path(__file__).parents[2] / "bench" / "self_comparison.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("self_comparison", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def a_run(seed, side, seconds, peak=0.001):
    return Record(
        task="digits",
        reference="digits",
        fingerprint="f00d",
        data_hash="da7a",
        plan={"schedule": {"peak": peak}, "seeds": {"seed": seed}},
        plan_digest="0",
        backend="jax",
        seed=seed,
        monitor="val_accuracy",
        mode="max",
        target=0.97,
        started_at=f"{side}{seed}",
        environment=Environment(machine={}, versions={}),
        timings=Timings(clock_seconds=60.0),
        outcome="completed",
        updates=1,
        epochs=1.0,
        examples_per_second=1.0,
        peak_memory_bytes=1,
        parameters=1,
        best_value=0.97,
        best_epoch=1.0,
        final_values={},
        points=[Point(step=1, epoch=1.0, seconds=seconds, values={"val_accuracy": 0.97})],
    )


def write_runs(folder, records):
    for record in records:
        write_record(record, folder / record.started_at)
        (folder / record.started_at / METRICS_FILE).write_text(point_to_line(record.points[0]))


def noisy_runs():
    generator = np.random.default_rng(0)
    times = np.exp(generator.normal(2.0, 0.1, (8, 2)))
    return [a_run(seed, side, times[seed, "ab".index(side)]) for seed in range(8) for side in "ab"]


def test_no_run_is_used_twice_within_a_study(bench):
    generator = np.random.default_rng(1)
    for _name, draw in bench.ways_to_draw(noisy_runs(), 3):
        for _ in range(50):
            first, second = draw(generator)
            assert len(first) == len(second) == 3
            assert len({record.started_at for record in (*first, *second)}) == 6
            assert [a.seed for a in first] == [b.seed for b in second]


def test_runs_of_one_seed_are_paired_with_each_other(bench):
    [(name, draw), _] = bench.ways_to_draw(noisy_runs(), 3)
    first, second = draw(np.random.default_rng(2))
    assert name == "runs with one seed"
    assert all(a.started_at[1:] == b.started_at[1:] for a, b in zip(first, second, strict=True))


def test_it_passes_on_runs_of_one_plan_and_prints_what_it_found(
    bench, tmp_path, monkeypatch, capsys
):
    write_runs(tmp_path / "runs", noisy_runs())
    monkeypatch.setattr("sys.argv", ["self_comparison.py", str(tmp_path)])
    assert bench.main() == 0
    printed = capsys.readouterr().out
    assert "16 runs of one plan" in printed and "100 studies of 3 pairs" in printed
    assert "5% allowed" in printed


def test_a_verdict_that_sees_gains_everywhere_does_not_pass(bench, tmp_path, monkeypatch, capsys):
    write_runs(tmp_path, noisy_runs())
    honest = bench.compare

    def credulous(candidate, baseline, *, target):
        verdict = honest(candidate, baseline, target=target)
        outcome = "faster" if verdict.ratio > 1 else "slower"
        return verdict.model_copy(update={"outcome": outcome})

    monkeypatch.setattr(bench, "compare", credulous)
    monkeypatch.setattr("sys.argv", ["self_comparison.py", str(tmp_path)])
    assert bench.main() == 1
    assert "told apart in 100.0%" in capsys.readouterr().out


def test_runs_of_two_plans_are_refused(bench, tmp_path):
    write_runs(tmp_path, [a_run(0, "a", 1.0), a_run(0, "b", 1.0, peak=0.1)])
    with pytest.raises(RecordError, match="2 runs of 2 plans"):
        bench.read_one_plan(tmp_path)


def test_too_few_runs_are_refused(bench):
    with pytest.raises(RecordError, match="at least 6 runs"):
        list(bench.ways_to_draw([a_run(seed, "a", 1.0) for seed in range(5)], 3))


def test_a_stretched_run_takes_longer_in_all_it_does(bench):
    run = bench.stretched(a_run(0, "a", 4.0), 2.0)
    assert run.seconds_to(0.97) == 8.0 and run.timings.clock_seconds == 120.0
    assert run.seconds_to(0.99) == math.inf

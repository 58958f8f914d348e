"""Records in, verdict out: pairing by seed, and what is refused with the name of what differs."""

import math

import pytest

from slipstream.errors import InputError, RecordError
from slipstream.record import Environment, Point, Record, Timings
from slipstream.verdict import compare

MACHINE = {"cpu": "Zen 4", "cores": 2}
VERSIONS = {"keras": "3.15.1", "jax": "0.10.2"}


def a_run(seed, seconds, *, clock=100.0, learning_rate=0.001, **changes):
    points = [Point(step=1, epoch=1.0, seconds=0.5, values={"val_accuracy": 0.5})]
    if math.isfinite(seconds):
        points.append(Point(step=2, epoch=2.0, seconds=seconds, values={"val_accuracy": 0.97}))
    values = {
        "task": "digits",
        "reference": "digits",
        "fingerprint": "f00d",
        "data_hash": "da7a",
        "plan": {"schedule": {"peak": learning_rate}, "seeds": {"seed": seed}},
        "plan_digest": f"{seed}",
        "backend": "jax",
        "seed": seed,
        "monitor": "val_accuracy",
        "mode": "max",
        "target": 0.97,
        "started_at": "2026-01-01T00:00:00+00:00",
        "environment": Environment(machine=MACHINE, versions=VERSIONS),
        "timings": Timings(clock_seconds=clock),
        "outcome": "completed",
        "updates": 10,
        "epochs": 1.0,
        "examples_per_second": 100.0,
        "peak_memory_bytes": 1,
        "parameters": 1,
        "best_value": 0.97,
        "best_epoch": 1.0,
        "final_values": {"val_accuracy": 0.5},
        "test_values": {"accuracy": 0.96, "loss": 1.0},
        "points": points,
    }
    return Record.model_validate({**values, **changes})


def a_side(*seconds, **changes):
    return [a_run(seed, value, **changes) for seed, value in enumerate(seconds)]


def test_a_run_that_was_cut_tells_when_it_met_the_target_and_nothing_of_quality():
    whole, cut = a_side(10.0, 20.0, 40.0), a_side(1.0, 2.0, 4.0, outcome="limit_reached")
    verdict = compare(cut, whole, target=0.97)
    assert verdict.ratio == pytest.approx(10.0) and verdict.quality is None
    assert "accuracy +" not in verdict.sentence() and "points" not in verdict.sentence()
    assert compare(whole, whole, target=0.97).quality.split == "test"
    one_left = [*cut[:1], *a_side(0.0, 2.0, 4.0)[1:]]
    left = compare(one_left, whole, target=0.97)
    assert left.quality.num_pairs == 2 and left.sentence().endswith(" in 2 of 3 seeds")


def test_runs_are_paired_by_seed_whatever_their_order():
    baseline = a_side(10.0, 20.0, 40.0)
    candidate = a_side(1.0, 2.0, 4.0, learning_rate=0.01)
    verdict = compare(candidate[::-1], baseline, target=0.97)
    assert verdict.ratio == pytest.approx(10.0)
    assert [
        (pair.seed, pair.baseline_seconds, pair.candidate_seconds) for pair in verdict.pairs
    ] == [(0, 10.0, 1.0), (1, 20.0, 2.0), (2, 40.0, 4.0)]
    assert verdict.rules.target == 0.97 and verdict.rules.monitor == "val_accuracy"
    assert verdict.quality.split == "test" and verdict.quality.baseline == pytest.approx(0.96)


def test_a_run_that_never_met_the_target_is_infinite_and_bounded_by_its_clock():
    verdict = compare(a_side(1.0, 1.1, 0.9), a_side(math.inf, 50.0, 55.0), target=0.97)
    assert verdict.pairs[0].baseline_seconds == math.inf
    assert verdict.pairs[0].baseline_clock_seconds == 100.0
    assert verdict.outcome == "faster" and verdict.bound == "at_least"


def test_a_clock_that_was_not_written_is_that_of_the_last_point():
    verdict = compare(a_side(1.0, 1.0), a_side(math.inf, math.inf, clock=0.0), target=0.97)
    assert verdict.pairs[0].baseline_clock_seconds == 0.5


def test_seeds_of_one_side_are_left_out_and_named():
    verdict = compare(a_side(1.0, 1.0, 1.0, 1.0), a_side(3.0, 3.0, 3.0), target=0.97)
    assert verdict.num_pairs == 3 and verdict.unpaired_seeds == (3,)


def test_values_that_are_not_finite_are_no_quality():
    broken = {"test_values": {"accuracy": math.nan}, "best_value": None}
    verdict = compare(a_side(1.0, 1.0, 1.0, **broken), a_side(3.0, 3.0, 3.0), target=0.97)
    assert verdict.quality is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": "beef"}, ["task fingerprint", "f00d", "beef"]),
        ({"data_hash": "0ther"}, ["data hash", "da7a", "0ther"]),
        ({"mode": "min"}, ["monitor", "val_accuracy, min"]),
        ({"monitor": "val_loss"}, ["monitor", "val_loss"]),
        (
            {"environment": Environment(machine={**MACHINE, "cores": 64}, versions=VERSIONS)},
            ["environment.machine.cores", "64"],
        ),
        (
            {"environment": Environment(machine=MACHINE, versions={**VERSIONS, "jax": "0.11"})},
            ["environment.versions.jax", "0.10.2", "0.11"],
        ),
        (
            {"environment": Environment(machine=MACHINE, versions={"keras": "3.15.1"})},
            ["environment.versions.jax", "none"],
        ),
    ],
)
def test_what_differs_is_refused_by_name_on_either_side(changes, words):
    good, other = a_side(3.0, 3.0, 3.0), a_side(1.0, 1.0, 1.0, **changes)
    for candidate, baseline in ((other, good), (good, other), ([*good[:2], other[2]], good)):
        with pytest.raises(RecordError) as caught:
            compare(candidate, baseline, target=0.97)
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize(
    ("candidate", "baseline", "words"),
    [
        ([], a_side(1.0), "none on the candidate's side"),
        (a_side(1.0), [], "none on the baseline's side"),
        (a_side(1.0), a_side(1.0, 2.0), "at least two seeds that both sides ran; got 1"),
        ([a_run(1, 1.0), a_run(2, 1.0)], [a_run(3, 1.0), a_run(4, 1.0)], "got 0"),
        ([a_run(1, 1.0), a_run(1, 2.0)], a_side(1.0, 2.0), "two runs with seed 1"),
        (
            [a_run(0, 1.0), a_run(1, 1.0, learning_rate=9.0)],
            a_side(1.0, 2.0),
            "runs of several plans",
        ),
    ],
)
def test_sides_that_make_no_pairs_are_refused(candidate, baseline, words):
    with pytest.raises(RecordError, match=words):
        compare(candidate, baseline, target=0.97)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"target": math.nan}, "target"),
        ({"target": 0.9, "confidence": 1.0}, "confidence"),
        ({"target": 0.9, "num_comparisons": 0}, "num_comparisons"),
        ({"target": 0.9, "equivalence": 0.0}, "equivalence"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings, name):
    with pytest.raises(InputError, match=name):
        compare(a_side(1.0, 1.0), a_side(3.0, 3.0), **settings)

"""Simulated studies: how often equal plans are told apart, and real differences found."""

import math

import numpy as np
import pytest

from slipstream.verdict import Pair, Rules, judge, paired_interval

NUM_STUDIES = 2000
RULES = Rules(monitor="val_accuracy", mode="max", target=0.97)


def lognormal(generator, size, scale=0.1):
    return generator.normal(0.0, scale, size)


def wide(generator, size):
    return lognormal(generator, size, 0.4)


def bimodal(generator, size):
    slow = generator.random(size) < 0.1
    return np.log(1.5) * slow + lognormal(generator, size, 0.03)


def heavy_tailed(generator, size):
    return 0.1 * generator.standard_t(2, size)


def whole_epochs(generator, size):
    return np.log(generator.integers(4, 7, size))


def outcomes(noise, num_seeds, ratio=1.0, clock=math.inf):
    """Return the outcomes of studies whose true ratio of times is known."""
    generator = np.random.default_rng(7)
    logs = noise(generator, (NUM_STUDIES, 2, num_seeds))
    times = 10.0 * np.exp(logs) * np.array([ratio, 1.0])[:, None]
    return [judge(pairs_of(baseline, candidate, clock), RULES) for baseline, candidate in times]


def pairs_of(baseline, candidate, clock):
    return [
        Pair(
            seed=seed,
            baseline_seconds=slow if slow <= clock else math.inf,
            candidate_seconds=fast if fast <= clock else math.inf,
            baseline_clock_seconds=clock,
            candidate_clock_seconds=clock,
        )
        for seed, (slow, fast) in enumerate(zip(baseline, candidate, strict=True))
    ]


def share(verdicts, *names):
    return sum(verdict.outcome in names for verdict in verdicts) / len(verdicts)


@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("noise", [lognormal, wide, bimodal, heavy_tailed, whole_epochs])
def test_equal_plans_are_called_faster_or_slower_in_at_most_5_percent(noise, num_seeds):
    assert share(outcomes(noise, num_seeds), "faster", "slower") <= 0.05


@pytest.mark.parametrize("noise", [lognormal, wide, bimodal])
def test_with_three_seeds_there_is_room_below_5_percent(noise):
    assert share(outcomes(noise, 3), "faster", "slower") <= 0.03


@pytest.mark.parametrize("clock", [9.0, 10.0, 12.0])
def test_equal_plans_that_miss_the_target_now_and_then_are_not_told_apart(clock):
    verdicts = outcomes(lognormal, 3, clock=clock)
    assert any(verdict.bound != "exact" for verdict in verdicts)
    assert share(verdicts, "faster", "slower") <= 0.03


@pytest.mark.parametrize("noise", [lognormal, bimodal])
@pytest.mark.parametrize(("ratio", "expected"), [(2.0, "faster"), (0.5, "slower")])
def test_a_true_factor_of_two_is_found(noise, ratio, expected):
    verdicts = outcomes(noise, 3, ratio)
    wrong = "slower" if expected == "faster" else "faster"
    assert share(verdicts, expected) > (0.9 if noise is lognormal else 0.75)
    assert share(verdicts, wrong) == 0


def test_no_difference_is_found_where_the_noise_allows_it_and_rarely_where_there_is_one():
    def quiet(generator, size):
        return lognormal(generator, size, 0.01)

    assert share(outcomes(quiet, 5), "no_difference") > 0.95
    assert share(outcomes(quiet, 5, ratio=1.1), "no_difference") == 0


def test_an_ablation_of_equal_plans_rarely_shows_any_gain():
    rules = RULES.model_copy(update={"num_comparisons": 8})
    generator = np.random.default_rng(3)
    times = np.exp(lognormal(generator, (200, 8, 2, 3), 0.3))
    found = [
        any(
            judge(pairs_of(*sides, math.inf), rules).outcome in ("faster", "slower")
            for sides in study
        )
        for study in times
    ]
    assert np.mean(found) <= 0.05


@pytest.mark.parametrize("num_seeds", [3, 5])
def test_the_interval_holds_the_true_difference_in_at_least_95_percent(num_seeds):
    generator = np.random.default_rng(11)
    logs = lognormal(generator, (NUM_STUDIES, 2, num_seeds))
    intervals = [paired_interval(first + 0.5, second) for first, second in logs]
    assert np.mean([each.low <= 0.5 <= each.high for each in intervals]) >= 0.95

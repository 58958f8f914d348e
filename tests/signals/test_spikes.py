"""Spikes among losses: told against NumPy's own median, in any portions, and not too often."""

import json

import numpy as np
import pytest

from slipstream.signals import Spikes


def losses(num=400, seed=0):
    """Return falling, noisy losses with heavy tails, as of small batches."""
    generator = np.random.default_rng(seed)
    return np.exp(-np.arange(num) / 150) * (1 + 0.2 * generator.standard_t(4, num)).clip(0.1)


def expected(values, deviations, window):
    """Return the places of spikes, by NumPy, loss by loss."""
    kept, since, limit, found = [], 0, np.inf, []
    for place, value in enumerate(values):
        if value > limit:
            found.append(place)
            continue
        kept.append(value)
        since += 1
        if len(kept) >= window and since >= window // 4:
            since, recent = 0, np.array(kept[-window:])
            middle = np.median(recent)
            deviation = 1.4826 * np.median(np.abs(recent - middle))
            limit = middle + deviations * max(deviation, 0.05 * abs(middle))
    return found


def found_by(spikes, values, portion):
    """Return the places of spikes where losses are handed over in portions."""
    found, start = [], 0
    while start < len(values):
        part = values[start : start + portion]
        place = spikes.first(part.tolist())
        if place is None:
            start += len(part)
        else:
            found.append(start + place)
            start += place + 1
    return found


@pytest.mark.parametrize("portion", [1, 7, 400])
@pytest.mark.parametrize("window", [8, 100])
def test_spikes_are_those_of_the_formula_in_any_portions(portion, window):
    values = losses()
    values[[30, 150, 151, 300]] *= 40
    found = found_by(Spikes(8.0, window), values, portion)
    assert found == expected(values, 8.0, window)
    assert {150, 151, 300} <= set(found)


def test_noise_is_no_spike_and_neither_is_a_level_that_hardly_varies():
    for seed in range(20):
        assert found_by(Spikes(20.0, 100), losses(seed=seed), 400) == []
    level = 1 + 1e-6 * np.random.default_rng(0).normal(size=400)
    level[300] = 1.3
    assert found_by(Spikes(10.0, 100), level, 400) == []
    level[300] = 1.6
    assert found_by(Spikes(10.0, 100), level, 400) == [300]


def test_its_state_is_plain_and_goes_on():
    values = losses()
    values[300] *= 40
    begun, other = Spikes(8.0, 16), Spikes(8.0, 16)
    begun.first(values[:203].tolist())
    other.restore(json.loads(json.dumps(begun.state(), allow_nan=False)))
    assert found_by(other, values[203:], 400) == found_by(begun, values[203:], 400)
    assert Spikes(8.0, 16).state()["limit"] is None
